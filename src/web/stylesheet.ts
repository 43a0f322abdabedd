/**
 * The one stylesheet, inside of every page. Elements carry the look; of classes there are three:
 *
 * - `.notice`: a box for words that must not be missed; with `role="alert"` it is an error summary
 * - `.steps`: an ordered list of what is done and what comes, each `li` with `data-state`
 *   `done`, `failed` or `waiting`
 * - `.compared`: texts whose blanks and line ends count: differences, and what is to be signed
 *
 * Classless by rule: in a form that is posted each label stands above its field, in one that asks
 * (`method="get"`) all stands in a line. Of buttons side by side the first is the main one. A list
 * whose items end in `small` has no bullets. `dl` is a table of keys and values.
 *
 * Colours are named by use, and meet WCAG 2.2 AA in both schemes (a test measures them). Long words
 * and code wrap; what may be wider than a phone, tables, scrolls in an element with `tabindex="0"`,
 * so that it can be reached by keyboard. A letter with a hundred marks, which nothing can break, is
 * cut off. Only logical sides, since pages run both ways.
 */
const readable = `
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #1f2328; --faint: #59616a; --line: #d8d4cc; --edge: #7d848c;
  --fill: #f4f1eb; --accent: #0b5394; --visited: #6a3d9a; --alert: #a3261b;
  --added: #d7f0dd; --removed: #fbe0dc;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --ink: #e3e5e8; --faint: #a4acb5; --line: #363d45; --edge: #8b949e;
    --fill: #1f242a; --accent: #8fbcf2; --visited: #c4a7ee; --alert: #ff9d92;
    --added: #173d24; --removed: #4a1f1c;
  }
}
html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0 auto; max-width: 42rem; padding: 0 1rem 3rem; font: 1.0625rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere }
header { padding-block: .75rem; border-block-end: 1px solid var(--line); margin-block-end: 1.75rem; font-size: .95rem }
header :is(p, ul) { margin: 0 }
header p a:first-child { font-weight: 600 }
footer { margin-block-start: 3rem; padding-block-start: .5rem; border-block-start: 1px solid var(--line) }
small, footer, figcaption { font-size: .9rem; color: var(--faint) }
header, main { overflow-x: clip; overflow-clip-margin: .5rem }
h1, h2, h3, h4, h5, h6, legend { line-height: 1.25; text-wrap: balance }
h1 { font-size: clamp(1.6rem, 1.2rem + 2vw, 2.1rem); margin-block: 0 1rem }
h2 { font-size: 1.3rem; margin-block: 2.25rem .75rem }
h3 { font-size: 1.1rem; margin-block: 1.75rem .5rem }
h4, h5, h6 { font-size: 1rem; margin-block: 1.5rem .5rem }
a { color: var(--accent); display: inline-block; min-height: 24px; text-underline-offset: .15em }
a:visited { color: var(--visited) }
:is(p, td, dd, h1, h2, h3, article li) > a { display: inline }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 2px }
ul, ol { padding-inline-start: 1.5rem }
li { margin-block: .4rem }
:is(ul, ol):has(> li > small:last-child) { list-style-type: ''; padding: 0 }
:is(ul, ol):has(> li > small:last-child) > li { margin-block: .9rem }
li > small::before { content: '\\A' / ''; white-space: pre }
li > p { margin-block: .2rem }
li > p + small::before { content: none }
article { margin-block-end: 2rem }
hr { border: 0; border-block-start: 1px solid var(--line); margin-block: 2rem }
blockquote { margin-inline: 0; padding-inline-start: 1rem; border-inline-start: 3px solid var(--line); color: var(--faint) }
code, pre, textarea, kbd { font-family: ui-monospace, 'DejaVu Sans Mono', Consolas, monospace }
code { font-size: .9em; background: var(--fill); padding: .1em .25em; border-radius: 3px }
pre, .compared { background: var(--fill); border: 1px solid var(--line); border-radius: 4px; padding: .75rem; white-space: pre-wrap }
pre { font-size: .9rem; line-height: 1.5 }
pre code { font-size: inherit; padding: 0; background: none }
table { border-collapse: collapse }
th, td { padding: .35rem .7rem; border: 1px solid var(--line); text-align: start; vertical-align: top; overflow-wrap: normal }
th { background: var(--fill) }
[tabindex="0"] { overflow-x: auto }
dl { display: grid; grid-template-columns: fit-content(12rem) 1fr; gap: .4rem 1rem }
dt { color: var(--faint) }
dd { margin: 0 }
details { margin-block: 1rem }
summary { min-height: 24px; cursor: pointer; color: var(--accent); width: fit-content }
ins, mark { background: var(--added); color: inherit }
ins { text-decoration: underline }
del { background: var(--removed); text-decoration: line-through }
fieldset { border: 1px solid var(--line); border-radius: 4px; padding: .5rem 1rem 1rem; margin: 1.5rem 0; min-width: 0 }
legend { font-weight: 600; padding-inline: .4rem }
fieldset p { margin-block: .5rem }
label { display: block; font-weight: 600 }
label small { font-weight: 400 }
input, textarea, select, button { font: inherit; color: inherit; max-width: 100%; box-sizing: border-box; min-height: 2.5rem; border: 1px solid var(--edge); border-radius: 4px }
input, textarea, select { background: var(--paper); padding: .4rem .6rem; font-weight: 400 }
input:not([type=checkbox], [type=radio]), textarea { display: block; width: 100%; margin-block-start: .25rem }
input:is([type=checkbox], [type=radio]) { min-height: 0; width: 1.25rem; height: 1.25rem; margin: 0; margin-inline-end: .5rem; vertical-align: -.2rem; accent-color: var(--accent) }
label:has(> input:is([type=checkbox], [type=radio])) { font-weight: 400; padding-block: .25rem }
textarea { min-height: 9rem; font-size: .95rem; line-height: 1.5; resize: vertical }
[aria-invalid=true] { border: 2px solid var(--alert) }
button { padding: .4rem 1.1rem; font-weight: 600; cursor: pointer; background: var(--accent); border-color: var(--accent); color: var(--paper) }
button ~ button { background: var(--paper); color: var(--accent) }
button[disabled] { background: var(--fill); color: var(--faint); border-color: var(--line); cursor: default }
form[method=get] :is(select, button) { margin-block: .2rem }
form[method=get] :is(label, input) { display: inline-block; width: auto; margin-inline-end: .5rem }
form[method=get] [type=search] { width: min(100%, 20rem); margin-inline: 0 }
.notice { background: var(--fill); border: 1px solid var(--line); border-inline-start: 4px solid var(--accent); border-radius: 4px; padding: .75rem 1rem; margin-block: 1.5rem }
.notice > :first-child { margin-block-start: 0 }
.notice > :last-child { margin-block-end: 0 }
[role=alert] { border-inline-start-color: var(--alert) }
[role=alert] > :is(h2, strong), label + [role=alert] { color: var(--alert) }
.steps { list-style: none; padding: 0 }
.steps > li { padding-inline-start: 2rem; position: relative }
.steps > li::before { position: absolute; inset-inline-start: .25rem; font-weight: 700; content: '…' / '' }
.steps > [data-state=done]::before { content: '✓' / '' }
.steps > [data-state=failed]::before { content: '✗' / ''; color: var(--alert) }
.steps > [data-state=waiting] { color: var(--faint) }
@media (max-width: 30rem) {
  body { padding-inline: .9rem; font-size: 1rem }
  dl { display: block }
  dd { margin-block-end: .75rem }
}
@media print {
  :root { --paper: #fff; --ink: #000; --faint: #333; --fill: #fff; --accent: #000; --visited: #000 }
  body { max-width: none }
  header, nav, form, details, button { display: none }
  a { text-decoration: none }
  article a[href^=http]::after { content: ' (' attr(href) ')'; font-size: .85em }
}
`

/** As it stands in a page: each blank counts there, for the size and for the hash. */
export const stylesheet = readable
  .replace(/\s+/g, ' ')
  .replace(/ ?([{};]) ?/g, '$1')
  .trim()
