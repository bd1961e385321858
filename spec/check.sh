#!/bin/sh
# Checks the models of this folder with SPIN, all states of each, and that every mutant of them fails.
#
#   check.sh              what the file runs lists
#   SIZE=big check.sh     the big configurations too: minutes and some gigabytes
#   check.sh WORD         only those whose line has WORD
#
# Two run at a time (JOBS=n: n). The exit status is not 0 when a model has an error or a mutant has none. Of an error that
# must not be, the steps that lead to it are printed.
set -eu

cd "$(dirname "$0")"

# property names the property that an assertion of the models stands for.
property() {
	case $1 in
	*'con==ver'*) echo label ;;
	*'con>=high'*) echo forward ;;
	*'>=floor'*) echo linear ;;
	*'<=db'* | *'<=row'*) echo bound ;;
	*made* | *'row<='*) echo healed ;;
	*) echo settled ;;
	esac
}

# one builds and runs one line of runs in a folder of its own, and prints its row of the table.
one() {
	expect=$1 model=$2 name=$3 breaks=$4
	shift 4
	spec=$PWD dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 1' HUP INT TERM
	cd "$dir"
	optimize=-O2 memory=2000
	[ "$expect" != fails ] || optimize=-O0
	[ "$expect" != big ] || memory=16000
	spin "$@" -a "$spec/$model.pml" >log 2>&1 &&
		gcc -w $optimize -DBFS -DSAFETY -DCOLLAPSE -DNOFAIR -DXUSAFE -DMEMLIM=$memory -o pan pan.c >>log 2>&1 || {
		cat log
		echo "$model $name: the model cannot be built"
		exit 1
	}
	./pan -w20 >log 2>&1 || true

	states=$(awk '/states, stored/ { print $1; exit }' log)
	seconds=$(awk '/elapsed time/ { print $4 }' log)
	broken=-
	violated=$(grep 'assertion violated' log || :)
	[ -z "$violated" ] || broken=$(property "$violated")
	result=WRONG
	if grep -q 'errors: 0' log && ! grep -q 'not completed' log; then
		[ "$breaks" != - ] || result=ok
	elif [ "$broken" != - ] && [ "$broken" = "$breaks" ]; then
		result="fails as it must: $broken"
	fi
	printf '%-9s %-29s %9s %7s  %s\n' "$model" "$name" "${states:-?}" "${seconds:-?}" "$result"
	[ "$result" = WRONG ] || return 0
	grep -E '^pan:|errors:|not completed' log || :
	[ "$breaks" != - ] || spin "$@" -k "$model.pml.trail" -g "$spec/$model.pml" || :
	return 1
}

if [ "${1:-}" = --one ]; then
	shift
	one "$@"
	exit
fi

for program in spin gcc; do
	command -v "$program" >/dev/null || {
		echo "check.sh: $program is missing (Debian and Ubuntu: apt-get install spin gcc)" >&2
		exit 1
	}
done
want='ok|fails'
[ "${SIZE:-}" != big ] || want='ok|fails|big'
lines=$(grep -E "^($want) " runs | grep -e "${1:-}") || {
	echo "check.sh: no line of runs has ${1:-}" >&2
	exit 1
}
printf '%-9s %-29s %9s %7s  %s\n' model run states seconds result
printf '%s\n' "$lines" | sed 's/ *$//' | xargs -P "${JOBS:-2}" -L 1 sh check.sh --one || {
	echo "check.sh: not all as it must be" >&2
	exit 1
}
