"""Small plots as inline SVG: one column wide, to stand side by side on a desk and below each other on a phone.

Colours are the style sheet's; what differs in colour differs in shape or words too.
"""

from markupsafe import Markup

from measure.report import plot_curve, plot_panel, plot_spread
from measure.report.figures import Panel, Plot, Spread
from measure.report.rows import Outcome

_SWATCHES = {
    "strong": Markup('<circle class="strong" cx="14" cy="7" r="4.5"/>'),
    "weak": Markup('<circle class="weak" cx="14" cy="7" r="4.5"/>'),
    "bar strong": Markup('<rect class="bar strong" x="2" y="3" width="24" height="8"/>'),
    "bar weak": Markup('<rect class="bar weak" x="2" y="3" width="24" height="8"/>'),
    "interval": Markup('<line class="interval strong" x1="2" x2="26" y1="7" y2="7"/>'),
    "weak interval": Markup('<line class="interval weak" x1="2" x2="26" y1="7" y2="7"/>'),
    "bound": Markup('<rect class="band" x="2" y="1" width="24" height="12"/>'),
    "reference": Markup('<path class="reference" d="M14 2l5 5-5 5-5-5z"/>'),
    "threshold": Markup('<line class="threshold" x1="14" x2="14" y1="0" y2="14"/>'),
    "classes": Markup(
        '<line class="interval strong" x1="4" x2="24" y1="7" y2="7"/><circle class="strong" cx="5" cy="7" r="4"/>'
        '<circle class="strong" cx="23" cy="7" r="4"/>'
    ),
}
_SHAPES: dict[Outcome, Markup] = {
    "pass": Markup('<circle cx="12" cy="12" r="11"/><path d="M6.5 12.5l3.8 3.8 7.2-8"/>'),
    "fail": Markup('<path class="fill" d="M7 1h10l6 6v10l-6 6H7l-6-6V7z"/><path d="M7.5 7.5l9 9m0-9l-9 9"/>'),
    "inconclusive": Markup(
        '<path class="fill" d="M12 0l12 12-12 12L0 12z"/>'
        '<path d="M9 9.6a3 3 0 1 1 4.4 2.6c-1 .6-1.4 1-1.4 2m0 2.6v.6"/>'
    ),
    "not_judged": Markup('<circle class="open" cx="12" cy="12" r="10.5"/><path d="M7 12h10"/>'),
}


def draw(plot: Plot, ident: str) -> Markup:
    """Draw a plot; ``ident`` is unique in the page."""
    if isinstance(plot, Panel):
        return plot_panel.draw(plot, ident)
    return plot_spread.draw(plot, ident) if isinstance(plot, Spread) else plot_curve.draw(plot, ident)


def swatch(kind: str) -> Markup:
    """Draw the legend's picture of one kind of mark."""
    return Markup('<svg class="swatch" viewBox="0 0 28 14" width="28" height="14" aria-hidden="true">{}</svg>').format(
        _SWATCHES[kind]
    )


def shape(outcome: Outcome) -> Markup:
    """Draw the shape that stands for one outcome; its word stands beside it."""
    return Markup(
        '<svg class="shape {}" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">{}</svg>'
    ).format(outcome, _SHAPES[outcome])
