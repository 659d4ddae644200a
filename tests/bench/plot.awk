# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Draws tests/bench/peers.svg from lines "RECEIVER NS NS NS NS", "-" where there is none: nanoseconds a packet, on
# a scale of tens, over the number of sources.

function y_of(ns) { return bottom - (log(ns) / log(10) - log_low) / (log_high - log_low) * (bottom - top) }
function x_of(i) { return left + (i - 1) * (right - left) / 3 }

function text(x, y, anchor, color, words) {
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor, color, words
}

function line(x1, y1, x2, y2, color, width) {
	printf "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"%s\"/>\n", x1, y1, x2, y2, color, width
}

function axes(   i, ns, step) {
	split("1 10,000 1,000,000 16,000,000", scales, " ")
	for (i = 1; i <= 4; i++) {
		line(x_of(i), top, x_of(i), bottom, "#dddddd", 1)
		text(x_of(i), bottom + 20, "middle", "#333333", scales[i])
	}
	text((left + right) / 2, bottom + 42, "middle", "#333333", "sources")
	for (step = log_low; step <= log_high; step++) {
		ns = 10 ^ step
		line(left, y_of(ns), right, y_of(ns), "#dddddd", 1)
		text(left - 8, y_of(ns) + 4, "end", "#333333", ns >= 1000 ? ns / 1000 ",000" : ns)
	}
}

function curve(row,   i, path, last) {
	for (i = 1; i <= 4; i++) {
		if (value[row, i] + 0 <= 0) continue
		path = path (path == "" ? "M" : "L") sprintf("%d %d ", x_of(i), y_of(value[row, i]))
		printf "<circle cx=\"%d\" cy=\"%d\" r=\"4\" fill=\"%s\"/>\n", x_of(i), y_of(value[row, i]), color[row]
	}
	if (path != "")
		printf "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"/>\n", path, color[row], row == "sipdam" ? 4 : 2
}

function legend(row, place,   y) {
	y = top + 14 + place * 24
	line(right + 24, y - 5, right + 48, y - 5, color[row], row == "sipdam" ? 4 : 2)
	text(right + 56, y, "start", "#333333", name[row])
}

BEGIN {
	left = 80; right = 620; top = 50; bottom = 400; log_low = 1; log_high = 5
	color["bare"] = "#999999"; color["sipdam"] = "#0060c0"; color["default"] = "#60a8e8"; color["xdp-filter"] = "#2a8a2a"
	color["nftables"] = "#e07b00"; color["hashlimit"] = "#c02020"; color["pike"] = "#7a3ca0"
	name["bare"] = "bare XDP drop"; name["sipdam"] = "sipdam"; name["default"] = "sipdam, default policy"
	name["xdp-filter"] = "xdp-filter, list"; name["nftables"] = "nftables set, limit"
	name["hashlimit"] = "iptables hashlimit"; name["pike"] = "Kamailio pike, CPU"
}

{ order[NR] = $1; for (i = 1; i <= 4; i++) value[$1, i] = $(i + 1) }

END {
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"840\" height=\"480\" font-family=\"sans-serif\" font-size=\"13\">"
	print "<rect width=\"840\" height=\"480\" fill=\"#ffffff\"/>"
	text(left, 24, "start", "#000000", "What a dropped INVITE costs: nanoseconds a packet, sender included")
	axes()
	for (r = 1; r <= NR; r++) { curve(order[r]); legend(order[r], r) }
	text(left, 470, "start", "#666666", machine)
	print "</svg>"
}
