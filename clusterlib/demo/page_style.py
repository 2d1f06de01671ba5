"""The style sheet of the page: one column, light and dark, readable on a phone."""

CSS = """
:root {
  color-scheme: light dark;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --paper: #fbfaf7; --ink: #1d2126; --soft: #59616b; --faint: #b9bec5; --line: #e2e0d9;
  --panel: #ffffff; --ours: #0b6e5f; --theirs: #c98a2b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e8e6e1; --soft: #a2a9b2; --faint: #5b636d; --line: #2b3036;
    --panel: #1b1f23; --ours: #45bfa9; --theirs: #d9a04a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 var(--sans); -webkit-text-size-adjust: 100%;
}
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.4rem); line-height: 1.15; margin: 0 0 .75rem;
  letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1.35rem; margin: 3.25rem 0 .75rem; padding-top: 1.25rem;
  border-top: 1px solid var(--line); }
p { max-width: 44rem; margin: 0 0 1rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
.note { border-left: 3px solid var(--theirs); padding: .1rem 0 .1rem .9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.1rem;
  margin: 1.5rem 0 0; font-size: .9rem; }
dt { color: var(--soft); text-transform: capitalize; }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--panel); }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 400; }
tbody tr.job th { text-align: left; padding-top: .75rem; font-weight: 600; white-space: normal; }
tbody tr.job small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
tbody tr.theirs th, tbody tr.theirs td { color: var(--soft); padding-bottom: .75rem;
  border-bottom: 1px solid var(--line); }
tbody:last-child tr.theirs > * { border-bottom: 0; }
tr.ours td:nth-child(2) { color: var(--ours); font-weight: 700; }
@media (max-width: 36rem) { table { font-size: .8rem; } th, td { padding: .3rem .45rem; } }
figure { margin: 1.5rem 0; }
.figures { display: grid; gap: 0 2.5rem; align-items: end;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.figures > figure:has(.panels) { grid-column: 1 / -1; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .6rem; max-width: 44rem; }
figure > svg { display: block; width: 100%; max-width: 30rem; height: auto; }
figure img { display: block; max-width: 100%; height: auto; border-radius: .25rem; }
.panels { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
.panels p { margin: .3rem 0 0; font-size: .88rem; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .85rem; }
"""
