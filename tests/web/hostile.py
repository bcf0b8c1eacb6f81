"""Texts that do harm where a page does not escape them, or that break its layout."""

from typing import Final

MARKUP: Final = '<img src=x onerror="window.harmed=1"><b>bold</b>'
SCRIPT: Final = "'\"></script><script>window.harmed=1</script>"
TEMPLATE: Final = "{{ 7 * 7 }}{% for %}${7 * 7}"
UPWARDS: Final = "../../../../etc/passwd"
ENDLESS: Final = "W" * 180
ODD: Final = "\u202eesrever\u202c Z\u0338\u0322a\u0335\u0321l\u0334go \U0001f41f\u200d\U0001f308 \ufdfd\u200b"

CLASSES: Final = (f"boat {MARKUP}", f"car {SCRIPT}", ENDLESS, UPWARDS, f"tree {TEMPLATE} {ODD}")
WORDS: Final = (MARKUP, SCRIPT, TEMPLATE, ENDLESS, ODD, "javascript:window.harmed=1", "snow & ice")
# Names of files: all but the slash and NUL may stand in one.
FILES: Final = ('"><img src=x onerror=window.harmed=1>.png', "%2e%2e%2f.png", "a b?c#d&e.png", f"{ODD}.png", "';--.png")
