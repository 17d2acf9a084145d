"""What buyers are expected to pay in the months to come, by several methods, and how wrong each was before.

The history is marts.paid_by_month up to the last complete month; a month without payments between others counts as 0. A method
is tried from each of the last ORIGINS months, as if what came later were not known, beside the naive forecast from the same
months. Amounts are of one currency each, in major units. Nothing here is random: the same payments give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from resources.warehouse import Connection

SEASON: Final = 12  # months
ORIGINS: Final = 12
KOPECK: Final = Decimal("0.01")
SHARE: Final = Decimal("0.0001")
NO_DEAL: Final = (
    "no open deal is expected to be won in this month",
    "в этом месяце ни одна открытая сделка не ожидается",
)
LARGEST: Final = Decimal(10) ** 15  # what the columns hold, of amounts
WIDEST: Final = Decimal(10) ** 12  # and of shares

Amounts = Sequence[Decimal]
Reason = tuple[str, str]  # English, Russian


class NotForetoldError(ValueError):
    """A method found no forecast; the message says why."""


@dataclass(frozen=True, slots=True)
class Method:
    """`needs`: complete months without which it says nothing."""

    name: str
    needs: int
    foretell: Callable[[Amounts, int], list[Decimal]]  # history, months ahead


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one method at one horizon, over `origins` past months."""

    origins: int = 0
    mean: Decimal | None = None
    mean_absolute: Decimal | None = None
    share_of_actual: Decimal | None = None
    naive_absolute: Decimal | None = None
    skill: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Foretold:
    """A row of ops.sales_forecast, without the month in which it is made."""

    currency: str
    method: str
    month: date
    horizon: int
    amount: Decimal | None
    reason: Reason | None
    history_months: int
    errors: Errors = Errors()


def naive(history: Amounts, months: int) -> list[Decimal]:
    """As the last month."""
    return [history[-1]] * months


def seasonal_naive(history: Amounts, months: int) -> list[Decimal]:
    """As the same month a year before."""
    return [history[len(history) - SEASON + step % SEASON] for step in range(months)]


def theta(history: Amounts, months: int) -> list[Decimal]:
    """The theta method (Assimakopoulos and Nikolopoulos, 2000) of statsmodels: half the trend, the level smoothed, and the
    seasonal course where two years are there and it shows.

    Never below 0. Raises NotForetoldError.
    """
    if len(set(history)) == 1:
        return naive(history, months)
    import warnings

    import numpy as np
    import pandas as pd
    from statsmodels.tsa.forecasting.theta import ThetaModel

    values = pd.Series([float(amount) for amount in history])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = ThetaModel(values, period=SEASON, deseasonalize=len(history) >= 2 * SEASON)
            found = np.asarray(model.fit().forecast(months))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise NotForetoldError(str(error)) from error
    if not np.isfinite(found).all() or (abs(found) > float(LARGEST)).any():
        raise NotForetoldError("it ends at no number")
    return [max(Decimal(repr(float(value))).quantize(KOPECK), Decimal(0)) for value in found]


METHODS: Final = (
    Method("theta", 6, theta),
    Method("seasonal_naive", SEASON, seasonal_naive),
    Method("naive", 1, naive),
)


def foretell(conn: Connection, today: date) -> int:
    """Write what is foretold in the month of `today`, in place of what was foretold in it before; how many rows."""
    foretold_in = today.replace(day=1)
    row = conn.execute("select forecast_months from marts.sales_rule").fetchone()
    months = row[0] if row else 0
    paid: dict[str, dict[date, Decimal]] = {}
    for currency, month, amount in conn.execute(
        "select currency, month, paid from marts.paid_by_month where currency is not null"
    ):
        paid.setdefault(currency, {})[month] = amount
    pipeline = _pipeline(conn, today)
    rows: list[Foretold] = []
    for currency in sorted({*paid, *pipeline}):
        history = series(paid.get(currency, {}), foretold_in)
        rows += of_history(currency, history, foretold_in, months)
        rows += _of_pipeline(currency, pipeline.get(currency), foretold_in, months, len(history))
    conn.execute("delete from ops.sales_forecast where foretold_in = %s", [foretold_in])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.sales_forecast (foretold_in, currency, method, month, horizon, amount, reason, reason_ru,"
            " history_months, origins, mean_error, mean_absolute_error, share_of_actual, naive_absolute_error, skill)"
            f" values ({', '.join(['%s'] * 15)})",
            [
                (foretold_in, r.currency, r.method, r.month, r.horizon, r.amount, *(r.reason or (None, None)),
                 r.history_months, *astuple(r.errors))
                for r in rows
            ],
        )  # fmt: skip
    return len(rows)


def series(paid: Mapping[date, Decimal], before: date) -> list[Decimal]:
    """Every month from the first with payments to the last one before `before`."""
    found = []
    month = min(paid, default=before)
    while month < before:
        found.append(paid.get(month, Decimal(0)))
        month = later(month, 1)
    return found


def later(month: date, months: int) -> date:
    years, place = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(years, place + 1, 1)


def of_history(currency: str, history: Amounts, foretold_in: date, months: int) -> list[Foretold]:
    """By every method, every month ahead, with its errors; where there is no amount, the reason."""
    found = []
    for method in METHODS:
        amounts: list[Decimal] = []
        reason: Reason | None = None
        tried: dict[int, Errors] = {}
        if len(history) < method.needs:
            reason = (
                f"{len(history)} complete months of payments, {method.needs} are needed",
                f"полных месяцев с оплатами: {len(history)}, нужно {method.needs}",
            )
        else:
            try:
                amounts = method.foretell(history, months)
                tried = errors(method, history, months)
            except NotForetoldError as error:
                amounts = []
                reason = (f"the method finds no forecast: {error}", f"метод не даёт прогноза: {error}")
        for horizon in range(1, months + 1):
            measured = tried.get(horizon, Errors())
            found.append(
                Foretold(
                    currency,
                    method.name,
                    later(foretold_in, horizon - 1),
                    horizon,
                    amounts[horizon - 1] if amounts else None,
                    reason
                    or _unmeasured(measured, len(history), method.needs + horizon)
                    or _nothing(amounts[horizon - 1], history),
                    len(history),
                    measured,
                )
            )
    return found


def errors(method: Method, history: Amounts, months: int) -> dict[int, Errors]:
    """By horizon. An error is what came less what was foretold."""
    made: dict[int, list[tuple[Decimal, Decimal, Decimal]]] = {}  # what came, its error, the naive error
    for origin in range(max(method.needs, len(history) - ORIGINS), len(history)):
        known = history[:origin]
        steps = min(months, len(history) - origin)
        for horizon, amount in enumerate(method.foretell(known, steps), start=1):
            came = history[origin + horizon - 1]
            made.setdefault(horizon, []).append((came, came - amount, came - known[-1]))
    return {horizon: _measured(of) for horizon, of in made.items()}


def _measured(made: Sequence[tuple[Decimal, Decimal, Decimal]]) -> Errors:
    count = len(made)
    sizes = sum((abs(error) for _, error, _ in made), Decimal(0))
    naive_sizes = sum((abs(error) for _, _, error in made), Decimal(0))
    came = sum((actual for actual, _, _ in made), Decimal(0))
    return Errors(
        count,
        (sum((error for _, error, _ in made), Decimal(0)) / count).quantize(KOPECK),
        (sizes / count).quantize(KOPECK),
        _share(sizes, came),
        (naive_sizes / count).quantize(KOPECK),
        None if (ratio := _share(sizes, naive_sizes)) is None else 1 - ratio,
    )


def _share(part: Decimal, whole: Decimal) -> Decimal | None:
    """None where the whole is nothing or below, or next to nothing beside the part."""
    return (part / whole).quantize(SHARE) if whole > 0 and part / whole < WIDEST else None


def _unmeasured(found: Errors, history: int, needed: int) -> Reason | None:
    if found.origins == 0:
        return (
            f"not tried yet: {history} complete months of payments, {needed} are needed",
            f"ещё не проверен: полных месяцев с оплатами {history}, нужно {needed}",
        )
    if found.skill is None:
        return (
            "the last month was right every time: there is nothing to be better than",
            "последний месяц угадывал каждый раз: сравнить не с чем",
        )
    return None


def _nothing(amount: Decimal, history: Amounts) -> Reason | None:
    """Why a forecast of 0 is one."""
    if amount:
        return None
    last = history[-ORIGINS:]
    empty = sum(1 for paid in last if not paid)
    return (
        f"0 is foretold: of the last {len(last)} complete months {empty} brought nothing",
        f"прогноз 0: из последних полных месяцев ({len(last)}) без оплат {empty}",
    )


def _pipeline(conn: Connection, today: date) -> dict[str, dict[date, Decimal]]:
    """What open deals are expected to bring, by currency and month; of a currency without a known chance, nothing."""
    found: dict[str, dict[date, Decimal]] = {}
    for currency, month, amount in conn.execute(
        "select currency, date_trunc('month', expected_on)::date, sum(expected_amount) from marts.open_pipeline_as_of(%s)"
        " where currency is not null group by 1, 2",
        [today],
    ):
        months = found.setdefault(currency, {})
        if month is not None and amount is not None:
            months[month] = amount
    return found


def _of_pipeline(
    currency: str, expected: Mapping[date, Decimal] | None, foretold_in: date, months: int, history: int
) -> list[Foretold]:
    alone = (
        ("of open deals alone, so that all payments do not measure it", "только по открытым сделкам, поэтому с оплатами не сравнивается")
        if expected
        else ("there is no open deal whose chance and time are known", "нет открытых сделок с известной вероятностью и сроком")
    )  # fmt: skip
    return [
        Foretold(
            currency,
            "pipeline",
            month := later(foretold_in, horizon - 1),
            horizon,
            expected.get(month, Decimal(0)) if expected else None,
            alone if not expected or expected.get(month) else NO_DEAL,
            history,
        )
        for horizon in range(1, months + 1)
    ]
