"""The drawings of the routing pages put every number where the design puts it."""

from datetime import datetime, time

from filiera.routing import charts
from filiera.routing.charts import Share


def shares(*percents):
    return [Share(str(day), percent, "") for day, percent in enumerate(percents, 1)]


def draw(*percents):
    return charts.line_chart(shares(*percents), good=85, alert=80, good_text="", alert_text="")


def test_the_line_of_the_design_has_its_coordinates():
    chart = draw(88.2, 86.9, 91.0, 89.4, 84.1, 79.2, 83.0, 87.5, 90.2, 91.4, 88.8, 90.6, 92.1, 91.7)
    assert chart.points.startswith("34.0,69.0 69.4,75.5 104.8,55.0")
    assert [level.text for level in chart.grid] == ["70", "80", "90", "100"]
    assert (chart.good.y, chart.alert.y) == ("85.0", "110.0")
    assert (chart.worst.x, chart.worst.y) == ("210.9", "114.0")
    assert (chart.last.x, chart.last.y) == ("494.0", "51.5")


def test_a_day_without_leads_is_left_out_of_the_line():
    chart = draw(90.0, None, 95.0)
    assert len(chart.dots) == 2
    assert chart.worst is None


def test_a_very_bad_day_lowers_the_floor():
    chart = draw(0.0, 100.0)
    assert [level.text for level in chart.grid] == ["0", "25", "50", "75", "100"]
    assert chart.dots[0].y == "160.0"


def test_nothing_at_all_draws_an_empty_frame():
    chart = draw()
    assert (chart.points, chart.worst, chart.last) == ("", None, None)


def test_long_periods_keep_their_labels_apart():
    chart = draw(*[90.0] * 92)
    assert sum(bool(dot.label) for dot in chart.dots) <= 14
    assert chart.dots[-1].label == "92"


def test_columns_stack_what_failed_above_what_worked():
    good, bad = [0] * 24, [0] * 24
    good[11], bad[11] = 27, 3
    chart = charts.column_chart(good, bad)
    tallest = next(column for column in chart.columns if column.label == "11")
    assert [column.label for column in chart.columns] == [str(hour) for hour in range(8, 21)]
    assert float(tallest.bad_y) + float(tallest.bad_height) < float(tallest.good_y)
    assert [level.text for level in chart.grid] == ["0", "10", "20", "30"]


def test_an_hour_at_night_widens_the_day():
    chart = charts.column_chart([0] * 3 + [1] + [0] * 20, [0] * 24)
    assert chart.columns[0].label == "3"


def test_a_credit_stands_on_its_side_of_zero():
    assert charts.credit(-0.25) == charts.Credit("37.5", "12.5", positive=False)
    assert charts.credit(0.25) == charts.Credit("50.0", "12.5", positive=True)
    assert charts.credit(3) == charts.Credit("50.0", "50.0", positive=True)


def test_a_week_shows_presence_leave_and_this_moment():
    mornings = [[(time(9), time(13))]] * 5 + [[], []]
    away = [False] * 4 + [True, False, False]
    week = charts.week(mornings, away=away, now=datetime(2026, 10, 13, 10, 42))
    assert [slot.x for slot in week.slots] == [1, 25, 49, 73]
    assert (week.slots[0].y, week.slots[0].height) == ("3.0", "12.0")
    assert week.leave == [97]
    assert (week.now_x, week.now_y) == (24, "8.1")


def test_no_schedule_means_any_hour_and_night_hides_the_line_of_now():
    week = charts.week(None, away=[False] * 7, now=datetime(2026, 10, 13, 23, 5))
    assert len(week.slots) == 7
    assert week.now_y is None
