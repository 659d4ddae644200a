#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# README, manual and completion say what the tool is: its commands, options, keys with their defaults,
# reasons, classes and metrics come from the binary and the headers and are compared. Needs no root.

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	sipdam=$PWD/build/sipdam
	room=$BATS_TEST_TMPDIR
	: >"$room/empty.yaml" # the defaults, whatever the host has in /etc
}

# Two files of sorted lines that must be the same; what differs is printed. Nothing is not a result.
same() {
	[[ -s $1 && -s $2 ]] && diff "$1" "$2"
}

commands() {
	"$sipdam" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | grep -v '^sipdam$'
}

# Without the options that all commands have.
own() {
	grep -v -e '^--help$' -e '^--usage$' || true
}

# Long options of a command (or "config check"), one a line, but those that all have.
options_of() {
	# shellcheck disable=SC2086
	"$sipdam" $1 --help | grep -o -- ' --[a-z]*' | tr -d ' ' | sort -u | own
}

all_commands() {
	commands | grep -v '^config$'
	echo "config check"
	echo "config show"
}

keys_of_tool() {
	"$sipdam" config show --json --config "$room/empty.yaml" |
		jq -r 'to_entries[] | .key + "=" + (.value.value | if type == "array" then tojson else tostring end)' |
		sort
}

# What the manual says of keys: single ones, and the table of limits.
keys_of_manual() {
	sed -n '/^\.Sh CONFIGURATION/,/^\.Sh METRICS/p' user/sipdam.8 | awk '
		/^\.It Cm [a-z0-9_]+(\.[a-z0-9_]+)* Pq Cm / { print $3 "=" $6 }
		/^\.It Em class / { for (i = 1; 3 + 3 * i <= NF; i++) column[i] = $(3 + 3 * i); next }
		/^\.It Cm [a-z_]+ Ta / {
			for (i = 1; 3 + 2 * i <= NF; i++) {
				split($(3 + 2 * i), part, "/")
				burst = part[2] == "" ? part[1] : part[2]
				print "limits." column[i] "." $3 ".rate=" part[1]
				print "limits." column[i] "." $3 ".burst=" burst
			}
		}' | sort
}

# What Markdown files show as code: indented lines, and what stands in quotes, one a line.
code() {
	sed -n 's/^    //p' "$@"
	grep -oh '`[^`]*`' "$@" | tr -d '`'
}

# Rows of a README table whose first cell is a word in code: cells between bars, blanks and quotes gone.
readme_rows() {
	sed -n '/^## '"$1"'/,/^## [^#]/p' README.md | sed -n 's/^| *`\([a-z_]*\)` *|/\1|/p' | tr -d ' `'
}

@test "docs: every command of sipdam --help is in the manual" {
	commands >"$room/commands"
	[ "$(wc -l <"$room/commands")" -ge 13 ]
	while read -r command; do
		grep -Eq "^\.It Ic (allow \| )?$command( |$)" user/sipdam.8 || { echo "$command"; false; }
	done <"$room/commands"
}

@test "docs: every command is in the completion, and no other" {
	commands | sort >"$room/tool"
	sed -n 's/^\tlocal commands="\(.*\)"$/\1/p' scripts/completion.bash | tr ' ' '\n' |
		sort >"$room/completion"
	same "$room/tool" "$room/completion"
}

@test "docs: every option of every command is in the manual" {
	seen=0
	while read -r command; do
		# Its own entry in the manual: from its .It Ic to the next one of another command.
		awk -v name="$command" '
			/^\.It Ic / { on = $0 ~ "^\\.It Ic (allow \\| )?" name "( |$)" }
			/^\.Sh/ { on = 0 }
			on' user/sipdam.8 >"$room/entry"
		for option in $(options_of "$command"); do
			grep -q -- "Fl -${option#--}\>" "$room/entry" || { echo "$command $option"; false; }
			seen=$((seen + 1))
		done
	done < <(all_commands)
	[ "$seen" -ge 20 ]
}

@test "docs: every option of every command is in the completion, and no other" {
	source scripts/completion.bash
	while read -r command; do
		options_of "$command" >"$room/tool"
		_sipdam_options "${command/ /-}" | tr ' ' '\n' | own | sort >"$room/completion"
		diff "$room/tool" "$room/completion" || { echo "$command"; false; }
	done < <(all_commands)
}

@test "docs: the manual has every key with its default, and no other" {
	keys_of_tool >"$room/tool"
	keys_of_manual >"$room/manual"
	same "$room/tool" "$room/manual"
}

@test "docs: the manual has every reason with its sentence, and no other" {
	sed -n 's/^\tX([A-Z_]*, [0-9]*, "\([a-z_]*\)", \([A-Z]*\), "\(.*\)").*/\1 \2 \3./p' \
		include/sipdam/reason.h |
		sed -e 's/ PASS / pass /' -e 's/ DROP / drop /' | sort >"$room/header"
	sed -n '/^\.Sh REASONS/,/^\.Sh CLASSES/p' user/sipdam.8 |
		sed -n '/^\.It Cm /{N;s/^\.It Cm \([a-z_]*\) Pq \([a-z]*\)\n/\1 \2 /p}' | sort >"$room/manual"
	same "$room/header" "$room/manual"
}

@test "docs: the manual has every class and whether networks are charged for it, and no other" {
	sed -n 's/^\tX([A-Z_]*, [0-9]*, "\([a-z_]*\)", \([01]\)).*/\1 \2/p' include/sipdam/message.h |
		sort >"$room/header"
	sed -n '/^\.Sh CLASSES/,/^\.Sh CONFIGURATION/p' user/sipdam.8 |
		sed -n 's/^\.It Cm \([a-z_]*\) Ta \([*\\&]*\) Ta .*/\1 \2/p' |
		sed -e 's/ \*$/ 1/' -e 's/ \\&$/ 0/' | sort >"$room/manual"
	same "$room/header" "$room/manual"
}

@test "docs: the manual has every metric, and no other" {
	grep -oh '"sipdam_[a-z_]*"' user/render.c | tr -d '"' | sort -u >"$room/tool"
	sed -n '/^\.Sh METRICS/,/^\.Sh ENVIRONMENT/p' user/sipdam.8 | grep '^\.It' | grep -o 'sipdam_[a-z_]*' |
		sort >"$room/manual"
	same "$room/tool" "$room/manual"
}

@test "docs: the manual is well formed" {
	command -v man >/dev/null || skip "no man"
	man --warnings -l user/sipdam.8 >"$room/page" 2>"$room/warnings"
	[ ! -s "$room/warnings" ]
	grep -q 'SIPDAM(8)' "$room/page"
}

@test "docs: README: its commands and their options exist" {
	code README.md | grep -Eo '(^|[ /])sipdam [a-z]+[^#|&;]*' | sed 's/^.*sipdam /sipdam /' >"$room/lines"
	[ "$(wc -l <"$room/lines")" -ge 15 ]
	while read -r _ command rest; do
		commands | grep -qx "$command" || { echo "no command $command"; false; }
		[[ $command != config ]] || command="config ${rest%% *}"
		for option in $(grep -o -- '--[a-z]*' <<<"$rest"); do
			options_of "$command" | grep -qx -- "$option" ||
				{ echo "sipdam $command has no $option"; false; }
		done
	done <"$room/lines"
}

@test "docs: README: its make targets exist" {
	code README.md CONTRIBUTING.md | grep -Eo '(^|[ ])make [a-z-]+' | sed 's/.*make //' |
		sort -u >"$room/targets"
	grep -qx run "$room/targets"
	while read -r target; do
		grep -Eq "^$target:|^\.PHONY:.* $target( |$)" Makefile || { echo "$target"; false; }
	done <"$room/targets"
}

@test "docs: README: it names no missing file" {
	{
		code README.md CONTRIBUTING.md |
			grep -E '^(include|bpf|user|scripts|tests)/[^*]*$|^[A-Z]+\.md$|^LICENSE$'
		grep -oE '\]\([^)#:]+\)' README.md | tr -d ']()'
		grep -oE '(scripts|tests|user)/[A-Za-z0-9_.@/-]+[A-Za-z0-9]' README.md
	} | sort -u >"$room/files"
	[ "$(wc -l <"$room/files")" -ge 5 ]
	while read -r file; do
		[ -e "$file" ] || { echo "$file"; false; }
	done <"$room/files"
}

@test "docs: README: its defaults are the tool's" {
	readme_rows 'How the limits work' | awk -F'|' '
		{
			split($2, unknown, "/"); split($3, pool, "/")
			print "limits.unknown." $1 ".rate=" unknown[1]
			print "limits.unknown." $1 ".burst=" unknown[2]
			print "limits.pool." $1 ".rate=" pool[1]
			print "limits.pool." $1 ".burst=" pool[2]
		}' | sort >"$room/readme"
	keys_of_tool | grep -E '^limits\.(unknown|pool)\.' >"$room/tool"
	same "$room/tool" "$room/readme"
}

@test "docs: README: it explains every reason" {
	sed -n 's/^\tX([A-Z_]*, [0-9]*, "\([a-z_]*\)".*/\1/p' include/sipdam/reason.h | sort >"$room/header"
	sed -n '/^## What every reason means/,/^## Its life/p' README.md | grep '^| `' | cut -d'|' -f2 |
		grep -o '`[a-z_]*`' | tr -d '`' | sort >"$room/readme"
	same "$room/header" "$room/readme"
}

@test "docs: README: its configuration and its scrape job are valid" {
	awk -v room="$room" '
		/^```yaml/ { file = room "/block" ++n ".yaml"; next }
		/^```$/ { file = "" }
		file { print >file }' README.md
	grep -q '^allow:' "$room/block1.yaml"
	"$sipdam" config check "$room/block1.yaml"
	grep -q '^scrape_configs:' "$room/block2.yaml"
	promtool check config "$room/block2.yaml"
}

# Answers of the completion, sorted, in a bash that is not interactive.
complete_words() {
	PATH=$PWD/build:$PATH bash --norc -c '
		source scripts/completion.bash
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_sipdam
		printf "%s\n" "${COMPREPLY[@]}" | sort | paste -sd" "' bash "$@"
}

@test "docs: completion: commands, options, actions" {
	[ "$(complete_words sipdam st)" = "stats status" ]
	[ "$(complete_words sipdam attach --mo)" = "--mode --monitor" ]
	[ "$(complete_words sipdam attach --mode na)" = "native" ]
	[ "$(complete_words sipdam deny f)" = "flush" ]
	[ "$(complete_words sipdam config "")" = "check show" ]
}

@test "docs: completion: keys and values" {
	[ "$(complete_words sipdam set limits.pool.invite.)" = "limits.pool.invite.burst= limits.pool.invite.rate=" ]
	[ "$(complete_words sipdam get limits.n)" = "limits.network limits.network.burst limits.network.rate" ]
	[ "$(complete_words sipdam set mode = m)" = "monitor" ]
}

@test "docs: completion: interfaces and files" {
	[[ " $(complete_words sipdam attach "") " == *" lo "* ]]
	touch "$room/night.pcap"
	[ "$(complete_words sipdam replay "$room/ni")" = "$room/night.pcap" ]
}

@test "docs: the next steps are at most 20 lines, of commands that exist" {
	run scripts/next-steps eth0
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -le 20 ]
	scripts/next-steps eth0 | sed -n 's/^  sudo [a-z/]*sipdam \([a-z]*\).*/\1/p' >"$room/steps"
	[ "$(wc -l <"$room/steps")" -ge 5 ]
	while read -r command; do
		commands | grep -qx "$command"
	done <"$room/steps"
	run scripts/next-steps
	[ "$status" -eq 2 ]
}
