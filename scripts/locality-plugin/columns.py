# SPDX-License-Identifier: GPL-2.0
"""A table on the terminal, for report and loops."""


def table(title, head, rows, names=1):
    """Columns as wide as they need to be: names first, to the left, then numbers."""
    rows = [head, *([str(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    print(title)
    for row in rows:
        print("  ".join(v.ljust(w) if i < names else v.rjust(w)
                        for i, (v, w) in enumerate(zip(row, widths))).rstrip())
    print()
