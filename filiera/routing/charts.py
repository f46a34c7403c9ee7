"""The geometry of the drawings on the routing pages: numbers in, coordinates out. The templates write the SVG.

Coordinates are text with one decimal and a dot, ready for an attribute in any language.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from math import ceil, floor

_LEFT, _TOP, _BOTTOM = 34.0, 10.0, 160.0
_RIGHT = 494.0
_MOST_LABELS = 14


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with its words: a grid line or a threshold."""

    y: str
    text: str
    text_y: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One point of a line. `label` is empty where labels would touch."""

    x: str
    y: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """A line in hundredths over days. `worst` and `last` are the dots that carry their value in words.

    `last_text_y` is "" where the words would cover those of a threshold.
    """

    points: str
    dots: Sequence[Dot]
    grid: Sequence[Level]
    good: Level
    alert: Level
    worst: Dot | None
    worst_text_y: str
    last: Dot | None
    last_text_y: str


@dataclass(frozen=True, slots=True)
class Share:
    """A day of the line: `percent` is None when nothing happened."""

    label: str
    percent: float | None
    title: str


@dataclass(frozen=True, slots=True)
class Column:
    """One hour: what went well below, what did not above it."""

    middle: str
    x: str
    good_y: str
    good_height: str
    bad_y: str
    bad_height: str
    label: str
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class ColumnChart:
    """Stacked columns by hour of day. `width` is that of each column."""

    columns: Sequence[Column]
    grid: Sequence[Level]
    width: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A share against what was expected, on a scale of 100. `tick` is where the expectation stands."""

    width: str
    tick: str


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit around zero, on a scale of 100 with zero at 50."""

    x: str
    width: str
    positive: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of presence inside one day of the week drawing."""

    x: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days of presence. `leave` holds the x of the days away, `now` the line of this moment."""

    days: Sequence[int]
    slots: Sequence[Slot]
    leave: Sequence[int]
    now_x: int
    now_y: str | None


def line_chart(
    shares: Sequence[Share], *, good: int, alert: int, good_text: str, alert_text: str
) -> LineChart:
    """Draw percentages day by day between a floor below the lowest of them and 100.

    `good` and `alert` are the two thresholds. The worst day is named when it lies under `good`.
    """
    known = [share.percent for share in shares if share.percent is not None]
    lowest = min(min(known, default=100.0), alert - 10)
    step = 10 if lowest >= 60 else 20 if lowest >= 20 else 25
    floor_percent = max(floor(lowest / step) * step, 0)

    def y(percent: float) -> float:
        return _BOTTOM - (percent - floor_percent) * (_BOTTOM - _TOP) / (100 - floor_percent)

    def level(percent: int, text: str) -> Level:
        return Level(_at(y(percent)), text, _at(y(percent) + 4))

    gap = (_RIGHT - _LEFT) / max(len(shares) - 1, 1)
    every = ceil(len(shares) / _MOST_LABELS) if shares else 1
    dots = [
        Dot(_at(_LEFT + index * gap), _at(y(share.percent)), _label(shares, index, every), share.title)
        for index, share in enumerate(shares)
        if share.percent is not None
    ]
    worst = _worst(shares, good)
    worst_dot = (
        Dot(_at(_LEFT + worst * gap), _at(y(shares[worst].percent or 0)), "", "")
        if worst is not None
        else None
    )
    return LineChart(
        points=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        dots=dots,
        grid=[level(percent, str(percent)) for percent in range(floor_percent, 101, step)],
        good=level(good, good_text),
        alert=level(alert, alert_text),
        worst=worst_dot,
        worst_text_y=_at(float(worst_dot.y) + (18 if float(worst_dot.y) < _BOTTOM - 24 else -10))
        if worst_dot
        else "",
        last=dots[-1] if dots else None,
        last_text_y=_beside(dots[-1], y(good), y(alert)) if dots else "",
    )


def column_chart(good: Sequence[int], bad: Sequence[int]) -> ColumnChart:
    """Draw 24 stacked columns, one per hour, without the empty hours at both ends of the day (8 to 20 at least)."""
    totals = [well + badly for well, badly in zip(good, bad, strict=True)]
    busy = [hour for hour, total in enumerate(totals) if total]
    hours = range(min([*busy, 8]), max([*busy, 20]) + 1)
    highest = max(totals, default=0) or 1
    step = _nice_step(highest)
    scale = (_BOTTOM - _TOP) / max(highest * 1.03, step)
    slot = (560 - 30) / len(hours)
    width = min(slot * 0.64, 26)
    columns = []
    for index, hour in enumerate(hours):
        middle = 30 + (index + 0.5) * slot
        good_height = good[hour] * scale
        gap = 1.5 if good[hour] and bad[hour] else 0
        bad_height = max(bad[hour] * scale - gap, 0)
        columns.append(
            Column(
                middle=_at(middle),
                x=_at(middle - width / 2),
                good_y=_at(_BOTTOM - good_height),
                good_height=_at(good_height),
                bad_y=_at(_BOTTOM - good_height - gap - bad_height),
                bad_height=_at(bad_height),
                label=str(hour),
                good=good[hour],
                bad=bad[hour],
            )
        )
    grid = [
        Level(_at(_BOTTOM - count * scale), str(count), _at(_BOTTOM - count * scale + 4))
        for count in range(0, highest + 1, step)
    ]
    return ColumnChart(columns=columns, grid=grid, width=_at(width))


def bar(value: float, expected: float | None, largest: float) -> Bar:
    """Draw a share against its expectation on a scale where `largest` would fill four fifths."""
    scale = 80 / largest if largest else 0
    return Bar(_at(value * scale), _at(min((expected or 0) * scale, 98.6)))


def credit(value: float) -> Credit:
    """Draw a credit of −1 to +1 left or right of zero; what lies beyond is cut."""
    width = min(abs(value), 1.0) * 50
    return Credit(x=_at(50 if value >= 0 else 50 - width), width=_at(width), positive=value > 0)


def week(
    presence: Sequence[Sequence[tuple[time, time]]] | None,
    *,
    away: Sequence[bool],
    now: datetime,
    first_hour: int = 8,
    last_hour: int = 20,
) -> Week:
    """Draw a week of presence, Monday first, between two hours of the day.

    `presence` holds the stretches of each day, or None for somebody present at any hour. `away` says which days are
    leave. `now` is a moment in the zone of the brand.
    """
    height = 36.0
    scale = height / (last_hour - first_hour)

    def y(moment: time) -> float:
        return min(max((moment.hour + moment.minute / 60 - first_hour) * scale, 0.0), height)

    slots: list[Slot] = []
    for day in range(7):
        if away[day]:
            continue
        stretches = [(time(first_hour), time(last_hour))] if presence is None else presence[day]
        for begins, ends in stretches:
            # Midnight as an end is the end of the day, not its beginning.
            bottom = y(ends) if ends > begins else height
            if bottom > y(begins):
                slots.append(Slot(_day_x(day), _at(y(begins)), _at(bottom - y(begins))))
    inside = first_hour <= now.hour < last_hour
    return Week(
        days=[_day_x(day) for day in range(7)],
        slots=slots,
        leave=[_day_x(day) for day in range(7) if away[day]],
        now_x=_day_x(now.weekday()) - 1,
        now_y=_at(y(now.time())) if inside else None,
    )


def _at(value: float) -> str:
    return f"{value:.1f}"


def _beside(dot: Dot, *taken: float) -> str:
    return _at(float(dot.y) + 4) if all(abs(float(dot.y) - y) > 12 for y in taken) else ""


def _day_x(day: int) -> int:
    return 1 + day * 24


def _nice_step(highest: int) -> int:
    step = 1
    for factor in (2, 2.5, 2) * 6:
        if highest / step <= 4:
            break
        step = int(step * factor)
    return step


def _label(shares: Sequence[Share], index: int, every: int) -> str:
    return shares[index].label if (len(shares) - 1 - index) % every == 0 else ""


def _worst(shares: Sequence[Share], good: int) -> int | None:
    under = [(share.percent, index) for index, share in enumerate(shares) if share.percent is not None]
    worst = min(under, default=None)
    return worst[1] if worst is not None and worst[0] < good else None
