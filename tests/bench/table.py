"""What the bench prints: one table, the thresholds, and what was left out."""


def _seconds(value):
    return "" if value is None else f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def _megabytes(value):
    return "" if not value else f"{value / 1e6:,.0f} MB" if value >= 1e7 else f"{value / 1e6:.1f} MB"


class Table:
    def __init__(self):
        self.rows, self.checks, self.absent, self.broken = [], [], [], []

    def row(self, tool, work, result, against=None):
        """AGAINST: the result whose time is 1 in the ratio column."""
        ratio = f"{result.seconds / against.seconds:.1f} x" if against else ""
        self.rows.append((tool, work, _seconds(result.seconds), ratio,
                          _seconds(result.cpu), _megabytes(result.private),
                          _megabytes(result.rss)))
        return result

    def check(self, what, value, limit, at_least=True, unit="x"):
        good = value >= limit if at_least else value <= limit
        sign = ">=" if at_least else "<="
        self.checks.append((good, what, f"{value:.2f} {unit}", f"{sign} {limit:g} {unit}"))

    def print(self, title):
        heads = ("tool", "work", "time", "ratio", "cpu", "private", "resident")
        widths = [max(map(len, column)) for column in zip(heads, *self.rows)]
        print(title + "\n")
        for row in (heads, *self.rows):
            cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(row, widths))]
            print("  ".join(cells).rstrip())
        if self.checks:
            print("\nthresholds")
        width = max((len(check[1]) for check in self.checks), default=0)
        for good, what, value, limit in self.checks:
            print(f"  {'pass' if good else 'FAIL'}  {what.ljust(width)}  {value:>10}  ({limit})")
        for head, lines in (("\nleft out", self.absent), ("\nbroken", self.broken)):
            if lines:
                print(head)
            for line in lines:
                print(f"  {line}")
