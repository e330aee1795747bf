"""What a check returns, and the table of several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["holds", "finding", "open"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check looked at.

    Attributes
    ----------
    where : str
        Parameter, input, part or claim.
    what : str
        What was seen there.
    evidence : float or str
        The number that shows it; ``what`` says of what.
    verdict : "holds", "finding" or "open"
        "open": the check could not establish it.
    """

    where: str
    what: str
    evidence: float | str
    verdict: Verdict = "finding"


@dataclass(frozen=True)
class Audit:
    """Result of one check.

    Attributes
    ----------
    check : str
        Name of the check.
    examined : str
        What it looked at, and how much.
    rows : tuple of Finding
        All that it looked at, whatever the verdict.
    """

    check: str
    examined: str
    rows: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The rows that are a finding."""
        return tuple(row for row in self.rows if row.verdict == "finding")

    @property
    def unsettled(self) -> tuple[Finding, ...]:
        """What could not be established."""
        return tuple(row for row in self.rows if row.verdict == "open")

    @property
    def passed(self) -> bool:
        """Whether nothing was found. What is unsettled does not count as found."""
        return not self.findings

    @property
    def text(self) -> str:
        """The result in one line."""
        settled = f"; {len(self.unsettled)} not established" if self.unsettled else ""
        if self.passed:
            return f"{self.check}: nothing found in {self.examined}{settled}"
        first, n = self.findings[0], len(self.findings)
        return (
            f"{self.check}: {counted(n, 'finding')} in {self.examined}{settled}; "
            f"{first.where}: {first.what} ({shown(first.evidence)})"
        )

    def __str__(self) -> str:
        return self.text


def shown(evidence: float | str) -> str:
    """Evidence as text, numbers to three digits; those of a thousand or more whole."""
    if isinstance(evidence, str):
        return evidence
    whole = evidence == int_or_none(evidence) or 1e3 <= abs(evidence) < 1e6
    return f"{evidence:,.0f}" if whole else f"{evidence:.3g}"


def int_or_none(value: float) -> int | None:
    """The integer that a number is equal to, if there is one."""
    return int(value) if abs(value) < 1e15 and value == int(value) else None


def counted(n: int, noun: str) -> str:
    """A number and its noun, in the plural where it is not one."""
    if n == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{n:,} {noun[:-1]}ies"
    return f"{n:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def report(*audits: Audit, everything: bool = False) -> pd.DataFrame:
    """Table of findings, one row each; a check that found nothing has one row that says so.

    Parameters
    ----------
    everything : bool
        Also what holds. What could not be established is always shown.

    Returns
    -------
    pandas.DataFrame
        Columns ``check``, ``where``, ``what``, ``evidence``, ``verdict``, all text.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import contract, leaves_inputs, report
    >>> found = [leaves_inputs(np.sort, np.ones(2)), contract(np.log, [np.ones(2)], bounds=(1, 2))]
    >>> report(*found)[["check", "verdict"]].values.tolist()
    [['leaves inputs', 'holds'], ['contract', 'finding']]
    """
    import pandas as pd

    rows = [row for audit in audits for row in _rows(audit, everything)]
    return pd.DataFrame(rows, columns=["check", "where", "what", "evidence", "verdict"])


def _rows(audit: Audit, everything: bool) -> Iterable[tuple[str, ...]]:
    kept = [row for row in audit.rows if everything or row.verdict != "holds"]
    if audit.passed and not (everything and audit.rows):
        yield audit.check, audit.examined, "nothing found", "", "holds"
    for row in kept:
        yield audit.check, row.where, row.what, shown(row.evidence), row.verdict
