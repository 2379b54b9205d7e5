"""The report's tables and lines."""

import textwrap


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def wrapped(lines):
    """Prose in lines that are read and compared with ease; tables, code and pictures as they are."""
    code = False
    for line in lines:
        code ^= line.startswith("```")
        if code or not line or line[0] in "|`!#":
            yield line
        else:
            indent = "  " if line.startswith("- ") else ""
            yield from textwrap.wrap(line, 88, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
