"""`{% load formats %}`: the formats of the workspace as template filters. `now` is handed over by the page."""

from django import template

from filiera.platform import formats

register = template.Library()
for _filter in (
    formats.number,
    formats.signed,
    formats.money,
    formats.clock,
    formats.span,
    formats.ago,
    formats.moment,
    formats.day_month,
    formats.in_full,
    formats.initials,
):
    register.filter(_filter.__name__, _filter)
