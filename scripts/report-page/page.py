# SPDX-License-Identifier: GPL-2.0
"""A page of HTML: sections, figures with their numbers, and SVG that follows its colours."""

import io
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

HERE = Path(__file__).resolve().parent
# What matplotlib draws with, and what it becomes: the page decides between light and dark.
INK = "#000000"
FAINT = "#a1000f"
SERIES = [f"#a1000{i}" for i in range(1, 7)]
COLOURS = {INK: "currentColor", FAINT: "var(--line)",
           **{colour: f"var(--c{i + 1})" for i, colour in enumerate(SERIES)}}

pyplot.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "ktrepl", "font.size": 9, "legend.frameon": False,
    "axes.prop_cycle": pyplot.cycler(color=SERIES), "axes.spines.top": False,
    "axes.spines.right": False, "axes.axisbelow": True, "grid.color": FAINT,
    "hatch.color": INK, "lines.markersize": 5,
})


@dataclass
class Figure:
    """A plot, and the numbers that it shows."""

    name: str                   # of its element
    title: str
    caption: str
    command: str                # that makes the data
    svg: str
    head: list
    rows: list

    def html(self):
        """Its element."""
        return (f'<figure id="{self.name}">\n<h3>{escape(self.title)}</h3>\n{self.svg}\n'
                f"<figcaption>{escape(self.caption)} Made by <code>{escape(self.command)}</code>."
                f"</figcaption>\n<details><summary>Numbers</summary>\n"
                f"{table(self.head, self.rows, self.title)}\n</details>\n</figure>")


@dataclass
class Section:
    """A part of the page."""

    name: str
    title: str
    text: str
    figures: list = field(default_factory=list)
    missing: list = field(default_factory=list)     # commands that make what is not there
    html: str = ""              # of its own

    def render(self):
        """Its element."""
        figures = "\n".join(figure.html() for figure in self.figures)
        return "\n".join((
            f'<section id="{self.name}">', f"<h2>{escape(self.title)}</h2>",
            f"<p>{escape(self.text)}</p>",
            f'<div class="figures">\n{figures}\n</div>' if figures else "", self.html,
            *(f'<p class="missing">No data yet: <code>{escape(command)}</code> makes it.</p>'
              for command in self.missing), "</section>"))


def table(head, rows, title):
    """In a box of its own, which scrolls."""
    def row(cells, kind):
        return "<tr>" + "".join(
            f'<th scope="{kind}">{escape(str(cell))}</th>' if kind == "col" or not i
            else f"<td{long(cell)}>{escape(str(cell))}</td>" for i, cell in enumerate(cells)) + "</tr>"

    def long(cell):
        return ' class="long"' if len(str(cell)) > 60 else ""

    return (f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
            f"<table>\n<thead>{row(head, 'col')}</thead>\n<tbody>\n"
            + "\n".join(row(cells, "row") for cells in rows) + "\n</tbody></table></div>")


def facts(pairs):
    """What is to be seen first."""
    return '<dl class="facts">' + "".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for what, value in pairs) + "</dl>"


def svg(name, title, figure):
    """A figure as an element: no ids that others have, no colours but the page's."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    text = out.getvalue()
    text = text[text.index("<svg"):].rstrip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    for colour, ours in COLOURS.items():
        text = text.replace(colour, ours)
    return re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>",
                  rf'<svg \1 role="img" aria-labelledby="{name}-title">'
                  f'<title id="{name}-title">{escape(title)}</title>', text, count=1)


def page(sections, made):
    """All of it."""
    links = " ".join(f'<a href="#{section.name}">{escape(section.title)}</a>' for section in sections)
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        style=(HERE / "style.css").read_text(encoding="utf-8").strip(), made=escape(made), links=links,
        sections="\n".join(section.render() for section in sections))
