"""What the `neuroinspect` command and `python -m neuroinspect` start: loading takes seconds, and may be interrupted too."""

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from neuroinspect.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    command_line()


if __name__ == "__main__":
    main()
