"""The page around the sections: a single file without scripts or network access."""

import html
from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2128; --soft: #59636e; --line: #d5dae0; --card: #f5f7f9;
  --good: #1f7a45; --bad: #b3362c; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e4e8ec; --soft: #9aa4ae; --line: #363d46;
  --card: #1d2229; --good: #5cc48a; --bad: #f0857b; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.2rem; margin: 2.6rem 0 .4rem }
p { max-width: 46rem } .soft, figcaption, summary small { color: var(--soft) }
nav { margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem } a { color: inherit }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { font-weight: 600; color: var(--soft) } th:first-child, td:first-child { text-align: left; padding-left: 0;
  white-space: normal; min-width: 9rem }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem 2rem }
figure { margin: .6rem 0; max-width: 40rem } svg { width: 100%; height: auto; color: var(--ink) }
figcaption { font-size: .9rem }
details { border: 1px solid var(--line); border-radius: 6px; padding: .45rem .8rem; margin: .45rem 0 }
details[open] { background: var(--card) } summary { cursor: pointer }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 .7rem; padding: .5rem .7rem; font-size: .85rem;
  border-left: 3px solid var(--line); background: var(--paper) }
.kept { color: var(--good) } .rejected { color: var(--bad) } pre.kept, pre.rejected { color: inherit }
pre.kept { border-color: var(--good) } pre.rejected { border-color: var(--bad) }
"""


def page(title: str, subtitle: str, sections: Sequence[tuple[str, str]]) -> str:
    """Returns the HTML of a page.

    Args:
        title, subtitle: plain text.
        sections: heading and HTML of each; sections without HTML are left out.
    """
    shown = [(heading, body) for heading, body in sections if body]
    links = "".join(f'<a href="#{_anchor(heading)}">{escape(heading)}</a>' for heading, _ in shown)
    bodies = "".join(
        f'<section id="{_anchor(heading)}"><h2>{escape(heading)}</h2>{body}</section>' for heading, body in shown
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><header><h1>{escape(title)}</h1>"
        f'<p class="soft">{escape(subtitle)}</p><nav>{links}</nav></header>{bodies}</body></html>\n'
    )


def _anchor(heading: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in heading.lower())


def escape(text: object) -> str:
    """Returns text as HTML: models write it, so nothing in it is markup, and lone surrogates are replaced."""
    return html.escape(str(text).encode(errors="replace").decode())


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table of plain text."""
    if not rows:
        return ""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def paragraph(text: str) -> str:
    """Returns a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def side_by_side(drawn: Sequence[tuple[str, str]]) -> str:
    """Returns plots, each an SVG and its caption, side by side where there is room."""
    inner = "".join(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in drawn)
    return f'<div class="figures">{inner}</div>' if drawn else ""


def fold(summary: str, note: str, body: str) -> str:
    """Returns a section that opens on a click; `body` is HTML."""
    return f"<details><summary>{escape(summary)} <small>{escape(note)}</small></summary>{body}</details>"
