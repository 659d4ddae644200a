# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Bash completion of sipdam. Needs no other completion scripts; keys come from the tool itself.
# shellcheck shell=bash

_sipdam_options() {
	case $1 in
	attach) echo "--config --confirm --mode --monitor --help --usage" ;;
	confirm) echo "--late --help --usage" ;;
	detach) echo "--all --help --usage" ;;
	status | stats | get | explain | version | config-check) echo "--json --help --usage" ;;
	doctor) echo "--json --name --timeout --help --usage" ;;
	top) echo "--json --number --help --usage" ;;
	allow | deny | ban | trust) echo "--for --json --help --usage" ;;
	reload) echo "--config --help --usage" ;;
	config-show) echo "--config --json --help --usage" ;;
	serve) echo "--listen --help --usage" ;;
	replay) echo "--config --json --local --packets --help --usage" ;;
	set | config) echo "--help --usage" ;;
	esac
}

# Every key of the configuration, one a line.
_sipdam_keys() {
	"$1" config show --json 2>/dev/null | sed -n 's/^  "\([^"]*\)": {$/\1/p'
}

# Keys, and what stands above them: limits.pool, limits.pool.invite, limits.pool.invite.rate.
_sipdam_keys_and_groups() {
	local key
	while read -r key; do
		while [[ $key ]]; do
			echo "$key"
			[[ $key == *.* ]] || break
			key=${key%.*}
		done
	done < <(_sipdam_keys "$1") | sort -u
}

_sipdam_values() {
	case $1 in
	mode) echo "enforce monitor" ;;
	*.enabled | trust.learn) echo "true false" ;;
	tls.min_version) echo "none 1.2 1.3" ;;
	limits.*) echo "unlimited" ;;
	esac
}

# Interfaces by name, without a program being started.
_sipdam_interfaces() {
	local path
	for path in /sys/class/net/*; do
		[[ -e $path/ifindex ]] && echo "${path##*/}"
	done
}

# Words that the text begins with become the answers. $1: words, $2: text.
_sipdam_offer() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_sipdam_offer_files() {
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
	compopt -o filenames 2>/dev/null
}

# The value of the option before the cursor, where it takes one. Fails where it takes none.
_sipdam_option_value() {
	case $1 in
	--config | -c) _sipdam_offer_files "$2" ;;
	--mode | -m) _sipdam_offer "auto native generic" "$2" ;;
	--confirm) _sipdam_offer "60s 5m" "$2" ;;
	--for | -f) _sipdam_offer "10m 1h 12h 7d" "$2" ;;
	--listen) _sipdam_offer "127.0.0.1:9469 0.0.0.0:9469" "$2" ;;
	--timeout | -t) _sipdam_offer "1s 5s 20s" "$2" ;;
	--local | -l | --name) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

# KEY=VALUE comes as three words where "=" breaks words, as it does by default.
_sipdam_assignment() {
	local tool=$1 current=$2 previous=$3 before=$4
	if [[ $current == "=" ]]; then
		_sipdam_offer "$(_sipdam_values "$previous")" ""
	elif [[ $previous == "=" ]]; then
		_sipdam_offer "$(_sipdam_values "$before")" "$current"
	else
		mapfile -t COMPREPLY < <(compgen -S = -W "$(_sipdam_keys "$tool")" -- "$current")
		compopt -o nospace 2>/dev/null
	fi
}

_sipdam_list() {
	local action=$1 current=$2
	case $action in
	"") _sipdam_offer "add del list import flush" "$current" ;;
	import | flush) _sipdam_offer_files "$current" ;;
	*) COMPREPLY=() ;;
	esac
}

_sipdam() {
	local commands="attach confirm detach status stats set get reload config allow deny ban trust explain top serve replay doctor version"
	local tool=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} action=
	local previous=${COMP_WORDS[COMP_CWORD - 1]} before=

	COMPREPLY=()
	((COMP_CWORD > 1)) && before=${COMP_WORDS[COMP_CWORD - 2]}
	((COMP_CWORD > 2)) && action=${COMP_WORDS[2]}
	if ((COMP_CWORD == 1)); then
		_sipdam_offer "$commands --help --version" "$current"
		return
	fi
	if [[ $command != set && $previous == "=" ]]; then
		previous=$before
	fi
	if [[ $command != set ]] && _sipdam_option_value "$previous" "${current#=}"; then
		return
	fi
	if [[ $command == config && $action =~ ^(check|show)$ ]]; then
		command=config-$action
	fi
	if [[ $current == -* ]]; then
		_sipdam_offer "$(_sipdam_options "$command")" "$current"
		return
	fi
	case $command in
	attach | detach | stats) _sipdam_offer "$(_sipdam_interfaces)" "$current" ;;
	doctor) [[ $action == tls ]] || _sipdam_offer "tls $(_sipdam_interfaces)" "$current" ;;
	set) _sipdam_assignment "$tool" "$current" "$previous" "$before" ;;
	get) _sipdam_offer "$(_sipdam_keys_and_groups "$tool")" "$current" ;;
	config) _sipdam_offer "check show" "$current" ;;
	config-check | replay) _sipdam_offer_files "$current" ;;
	allow | deny) _sipdam_list "$action" "$current" ;;
	ban) [[ $action ]] || _sipdam_offer "add del list" "$current" ;;
	trust)
		if [[ ! $action ]]; then
			_sipdam_offer "add del list import" "$current"
		elif [[ $action == import ]]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		fi
		;;
	esac
}

complete -F _sipdam sipdam
