"""SQL expressions in mapping files: one value from columns of one row, nothing else.

sqlglot reads them; only the functions and operators below pass, so an expression can neither read
another table nor call what has effects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

MAX_LENGTH = 1000
ALLOWED = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg, exp.Not,
    exp.And, exp.Or, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.EQ, exp.NEQ, exp.GT, exp.GTE,
    exp.LT, exp.LTE, exp.Is, exp.Between, exp.In, exp.Like, exp.Case, exp.If, exp.Cast, exp.DataType,
    exp.DataTypeParam, exp.DPipe, exp.Concat, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least,
    exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Left,
    exp.Right, exp.Substring, exp.SplitPart, exp.StrPosition, exp.Replace, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.ToChar, exp.Tuple,
)  # fmt: skip


class ExpressionError(ValueError):
    """An expression that is not allowed or cannot be read; ends with the remedy."""


def read_expression(text: str, columns: Mapping[str, Collection[str]] | None) -> exp.Expression:
    """Parse and check an expression. `columns`: {"": names that may stand in it}; None: any.

    Raises ExpressionError.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"is longer than {MAX_LENGTH} characters. Put it into a table of its own")
    try:
        found = sqlglot.parse(text, dialect="postgres")
    except SqlglotError as error:
        raise ExpressionError(f"cannot be read: {str(error).splitlines()[0]}. Correct it") from error
    tree = found[0] if len(found) == 1 else None
    if not isinstance(tree, exp.Expression):
        raise ExpressionError("is not one expression. Write one value")
    for node in tree.walk():
        if not isinstance(node, ALLOWED):
            what = node.sql(dialect="postgres") or type(node).__name__
            raise ExpressionError(
                f"`{what[:60]}` is not allowed. Use columns, arithmetic, case and text functions"
            )
        if isinstance(node, exp.Column):
            if node.table:
                raise ExpressionError(f"`{node.sql()}`: columns stand without a table. Drop it")
            if columns is not None and node.name not in columns[""]:
                known = ", ".join(sorted(columns[""]))
                raise ExpressionError(f"no column `{node.name}` to compute with. There are: {known}")
    return tree


def expression_sql(text: str, alias: str) -> str:
    """The expression with its columns of `alias`, as SQL. Raises ExpressionError."""

    def qualified(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Column):
            return exp.column(exp.to_identifier(node.name, quoted=True), table=exp.to_identifier(alias))
        return node

    return f"({read_expression(text, None).transform(qualified).sql(dialect='postgres')})"
