"""The style sheet of ``report.html``: light and dark, 320 pixels to a desk's width, and paper.

Its colours and the rules of its contact sheet also serve a page that has general rules of its own.

Every pair of colours that text is written in has a contrast of 4.5 or more (WCAG 2.2, 1.4.3).
"""

# Names of colours: the paper, what lies on it, ink and fainter ink, lines, links; then a pair (of paper
# and ink) for each kind of message.
LIGHT = {
    "paper": "#f6f5f2", "card": "#ffffff", "ink": "#1c1b19", "faint": "#5f5c56", "line": "#dedbd4",
    "link": "#0b57a4",
    "good": "#e2f2e5", "good-ink": "#135230", "bad": "#fce8e5", "bad-ink": "#8c1d13", "bad-edge": "#cf4335",
    "warn": "#fdf0d3", "warn-ink": "#694300", "warn-edge": "#dfa028", "mend": "#e3edfb", "mend-ink": "#123f7c", "mend-edge": "#4a86d8",
    "calm": "#eceae5", "calm-ink": "#46443f",
}  # fmt: skip
DARK = {
    "paper": "#151513", "card": "#1f1f1c", "ink": "#eeece7", "faint": "#aaa79f", "line": "#393832",
    "link": "#8fc1ff",
    "good": "#12301d", "good-ink": "#a3e3b7", "bad": "#401814", "bad-ink": "#ffb9ae", "bad-edge": "#e0604f",
    "warn": "#35270a", "warn-ink": "#f6d182", "warn-edge": "#c8912a", "mend": "#14294a", "mend-ink": "#aecffb", "mend-edge": "#5f97e3",
    "calm": "#2d2c28", "calm-ink": "#d3d0c8",
}  # fmt: skip


def _declared(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


COLOURS = (
    f":root{{color-scheme:light dark;{_declared(LIGHT)}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_declared(DARK)}}}}}\n"
)

GENERAL = """\
*,::before,::after{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;max-width:76rem;padding:clamp(1rem,4vw,2.5rem);background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
h1,h2,h3,p,ul,ol,dl,dd,figure{margin:0;padding:0}
ul,ol{list-style:none}
h1{font-size:clamp(1.5rem,1.1rem + 2vw,2.25rem);line-height:1.15;letter-spacing:-.02em;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;letter-spacing:-.01em}
h3{font-size:1rem;line-height:1.4}
a{color:var(--link);text-underline-offset:.15em}
code{font:.875em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{margin:.75rem 0 1.25rem;padding:.875rem 1rem;overflow-x:auto;border-radius:.5rem;background:var(--card)}
section{margin-top:2.5rem}
h2+*{margin-top:.75rem}
.note{color:var(--faint);max-width:44rem;margin-top:.125rem}
.note+*{margin-top:.75rem}
"""

UNSEEN = """\
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
"""

GROUPS = """\

.verdict{display:flex;gap:clamp(.875rem,3vw,1.5rem);padding:clamp(1.125rem,4vw,2rem);border-radius:1rem}
.verdict h1+p{font-weight:600}
.verdict p{margin-top:.375rem;font-size:1.0625rem}
.verdict .sign{flex:none;width:clamp(2.25rem,8vw,3rem);height:clamp(2.25rem,8vw,3rem);padding:.375rem;
border-radius:50%;fill:none;stroke:currentColor;stroke-width:2.5;stroke-linecap:round;stroke-linejoin:round;
border:2px solid}
.accepted{background:var(--good);color:var(--good-ink)}
.rejected{background:var(--bad);color:var(--bad-ink)}
.dataset{display:grid;grid-template-columns:repeat(auto-fill,minmax(clamp(7.75rem,12vw,10.5rem),1fr));gap:1rem;
margin-top:1.25rem}
.dataset dt,.facts,footer{color:var(--faint);font-size:.8125rem}
.dataset dd{font-weight:600}

.group{padding:1rem 1.25rem;background:var(--card);border:1px solid var(--line);border-left:.25rem solid var(--edge);
border-radius:.5rem}
.errors,.warnings,.changes{display:grid;gap:.75rem;align-items:start}
.warnings,.changes{grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr))}
.group{display:flex;flex-direction:column;min-width:0}
.group p,.cases,details{margin-top:.375rem;max-width:50rem}
.group>code{margin-top:auto;padding-top:.625rem;color:var(--faint);font-size:.75rem}
.errors{--edge:var(--bad-edge);counter-reset:step}
.errors .group h3::before{counter-increment:step;content:counter(step) ". "}
.errors .group:only-child h3::before{content:none}
.warnings{--edge:var(--warn-edge)}
.changes{--edge:var(--mend-edge)}
"""

COUNT = """\
.count{display:inline-block;padding:0 .5rem;border-radius:1rem;background:var(--calm);color:var(--calm-ink);
font-size:.8125rem;font-weight:600;letter-spacing:0;white-space:nowrap;vertical-align:.0625em}
"""

CASES = """\
.cases li{padding-left:.875rem;text-indent:-.875rem}
.cases li::before{content:"";display:inline-block;width:.3125rem;height:.3125rem;margin-right:.5625rem;
border-radius:50%;background:var(--faint);vertical-align:.15em}
.cases li+li{margin-top:.25rem}
summary{display:inline-block;padding:.25rem 0;color:var(--link);cursor:pointer;text-decoration:underline;
text-underline-offset:.15em}
.group .name{font-weight:600}

"""

PHOTOS = """\
.filter{display:flex;flex-wrap:wrap;gap:.5rem;margin:.75rem 0 0;padding:0;border:0;min-width:0}
.filter input{position:absolute;opacity:0;pointer-events:none}
.filter label{padding:.375rem .875rem;border:1px solid var(--line);border-radius:2rem;background:var(--card);
cursor:pointer;font-size:.875rem}
.filter label span{color:var(--faint)}
.filter :checked+label{border-color:var(--ink);background:var(--ink);color:var(--paper)}
.filter :checked+label span{color:inherit}
.filter :focus-visible+label,a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.photos{display:grid;grid-template-columns:repeat(auto-fill,minmax(clamp(8.25rem,16vw,12rem),1fr));
gap:clamp(.75rem,2vw,1.25rem);margin-top:1rem}
.photo{display:flex;flex-direction:column;overflow:hidden;padding-bottom:.75rem;background:var(--card);
border:1px solid var(--line);border-radius:.75rem;content-visibility:auto;contain-intrinsic-size:auto 18rem}
.photo:target{outline:3px solid var(--link)}
.photo>:not(.frame){margin-left:.75rem;margin-right:.75rem}
.frame{position:relative;flex:none;aspect-ratio:1;background:var(--calm)}
.frame img{position:absolute;inset:0;width:100%;height:100%;object-fit:contain}
.no-picture{display:grid;place-items:center;height:100%;color:var(--calm-ink);font-size:.8125rem}
.dropped img,.refused img{opacity:.45;filter:grayscale(1)}
.badge{position:absolute;left:.5rem;top:.5rem;padding:.0625rem .5rem;border-radius:1rem;font-size:.75rem;
font-weight:600}
.badge.kept{background:var(--good);color:var(--good-ink)}
.badge.mended{background:var(--mend);color:var(--mend-ink)}
.badge.dropped{background:var(--calm);color:var(--calm-ink)}
.badge.refused{background:var(--bad);color:var(--bad-ink)}
.faces{position:absolute;inset:0;width:100%;height:100%;pointer-events:none}
.faces rect{fill:none;stroke:#fff;stroke-width:1.5;vector-effect:non-scaling-stroke;filter:drop-shadow(0 0 1px #000)}
.faces .marked{stroke:var(--warn-edge);stroke-width:2.5}
.mark{position:absolute;right:.5rem;bottom:.5rem;padding:.0625rem .5rem;border-radius:1rem;font-size:.75rem;
font-weight:600;background:var(--warn);color:var(--warn-ink);pointer-events:none}
.mark.plain{background:var(--calm);color:var(--calm-ink)}
.title{margin-top:.625rem;font-size:.875rem;font-weight:600;line-height:1.35}
.facts{margin-top:.125rem;line-height:1.4}
.facts span{display:block}
.caption{margin-top:.375rem;color:var(--faint);font-size:.8125rem;line-height:1.4}
.remarks{margin-top:.5rem;font-size:.8125rem;line-height:1.4}
.remarks li+li{margin-top:.375rem}
.remarks .error,.remarks .warning{margin-left:-.25rem;margin-right:-.25rem;padding:.375rem .5rem;border-radius:.375rem}
.remarks .error{background:var(--bad);color:var(--bad-ink)}
.remarks .warning{background:var(--warn);color:var(--warn-ink)}
.remarks .change{color:var(--faint)}
"""

TABLES = """\
table{width:100%;max-width:50rem;border-collapse:collapse;font-size:.9375rem}
th,td{padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:baseline;
font-weight:400}
thead th,td:last-child{color:var(--faint);font-size:.8125rem}
td:nth-child(2){font-weight:600}
@media (max-width:34rem){
thead{display:none}
tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--line)}
th,td{display:block;padding:0;border:0}
td:last-child::before{content:"set by "}
}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line)}

@media print{
body{max-width:none;padding:0 1px;background:none;font-size:10pt}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.filter,summary{display:none}
details::details-content{content-visibility:visible;display:block;height:auto}
.photos{grid-template-columns:repeat(5,minmax(0,1fr));gap:.5rem}
.photo{content-visibility:visible}
.photo,.group,tr,.verdict{break-inside:avoid}
h2{break-after:avoid}
}
"""

SHOWING = "".join(
    f"#photos:has(#show-{kind}:checked) .photo:not(.{kind}){{display:none}}\n"
    for kind in ("kept", "mended", "dropped", "refused", "advised")
)

# What the general rules above mean for the sheet. Each loses against a rule of the sheet, and wins against
# a rule for bare elements in a style sheet that comes before.
BARE = """\
.photos,.photo{margin:0;padding:0;list-style:none}
.photo{color:var(--ink);overflow-wrap:anywhere}
:where(.photo) p,:where(.photo) ul,:where(.photo) ul li{margin:0;padding:0;color:inherit;list-style:none}
.filter label{color:var(--ink)}
.filter [type=radio]~label{margin:0}
.facts{color:var(--faint);font-size:.8125rem}
"""

SHEET_STYLE = BARE + UNSEEN + COUNT + PHOTOS + SHOWING
STYLE = COLOURS + GENERAL + UNSEEN + GROUPS + COUNT + CASES + PHOTOS + SHOWING + TABLES
