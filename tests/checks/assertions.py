"""Find tests that cannot fail: `python tests/checks/assertions.py FOLDER` names each test function without an assertion.

An assertion is an `assert` statement, `pytest.raises` or `pytest.warns`, Playwright's `expect`, or a call of a function whose
name starts with `assert` (such as `torch.testing.assert_close`), in the test itself or in a helper of the same file that it
calls.
"""

import ast
import sys
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def called_names(function: Function) -> set[str]:
    """Last part of the name of everything the function calls."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {
        call.attr if isinstance(call, ast.Attribute) else call.id
        for call in calls
        if hasattr(call, "attr") or hasattr(call, "id")
    }


def asserts(function: Function, helpers: dict[str, Function], seen: frozenset[str] = frozenset()) -> bool:
    """Whether the function, or a helper it calls, contains an assertion."""
    names = called_names(function)
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    if any(name in {"raises", "warns", "expect"} or name.startswith("assert") for name in names):
        return True
    return any(asserts(helpers[name], helpers, seen | names) for name in names & helpers.keys() - seen)


def tests_without_assertion(path: Path) -> list[str]:
    """`file:line name` of each test function that asserts nothing."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function)]
    helpers = {function.name: function for function in functions}
    return [
        f"{path}:{function.lineno} {function.name}"
        for function in functions
        if function.name.startswith("test_") and not asserts(function, helpers)
    ]


def main(folder: Path) -> int:
    """Print what was found; 1 where there is anything."""
    found = [line for path in sorted(folder.rglob("test_*.py")) for line in tests_without_assertion(path)]
    for line in found:
        print(f"no assertion in {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
