#!/bin/sh
# Sees to the programs that Tidelock's tests and its demo start.
#
#   deps.sh              Postgres 15 and Valkey 8, or newer, and what the tests need besides: a C compiler (for the race
#                        detector, the models and clocks that jump), spin (for the models) and Chromium (for the dashboard)
#   deps.sh servers      Postgres and Valkey only
#   deps.sh install ...  root's part on Debian and Ubuntu: installs any of: postgres valkey compiler spin chromium
#
# What is there is left as it is, and then this says nothing. On Debian and Ubuntu the missing is installed; elsewhere
# this says what to install. No service is started, none is stopped that ran before, and no database is created.
set -eu

min_postgres=15
min_valkey=8

say() { printf 'deps: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# --- what is there -------------------------------------------------------------------------------

# first_number prints the first number of what it reads: the major version in "Valkey server v=8.0.1 sha=...".
first_number() { sed -n '1s/^[^0-9]*\([0-9][0-9]*\).*/\1/p'; }

# serves tells whether a server program is there in a major version of at least $2.
serves() {
	[ -x "$1" ] || return 1
	found=$("$1" --version 2>/dev/null | first_number)
	[ "${found:-0}" -ge "$2" ]
}

# The folders are those of the finder in internal/stack.
has_postgres() {
	for postgres in "$(command -v postgres || :)" /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
		/opt/homebrew/opt/postgresql@*/bin/postgres /usr/local/opt/postgresql@*/bin/postgres \
		/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin/postgres; do
		real=$(readlink -f "$postgres" 2>/dev/null || printf '%s' "$postgres")
		if [ -x "${real%/*}/initdb" ] && serves "$real" "$min_postgres"; then return 0; fi
	done
	return 1
}

has_valkey() { serves "$(command -v valkey-server || :)" "$min_valkey"; }

# Compilers without the C library's headers are common, so one file is really read. macOS needs none of this.
has_compiler() {
	[ "$(uname -s)" != Darwin ] || return 0
	# CC may hold options, so it is split.
	# shellcheck disable=SC2046
	echo '#include <stdlib.h>' | $(go env CC) -fsyntax-only -x c - >/dev/null 2>&1
}

# There are other programs called spin.
has_spin() { spin -V 2>/dev/null </dev/null | grep -q '^Spin Version'; }

# The names are those that the tests of internal/dashboard look for. Ubuntu's chromium-browser may be there without a browser behind it.
has_chromium() {
	for browser in chromium chromium-browser google-chrome google-chrome-stable "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
		if command -v "$browser" >/dev/null && "$browser" --version 2>/dev/null </dev/null | grep -q '[0-9]'; then return 0; fi
	done
	return 1
}

# missing prints which of the arguments are not there.
missing() {
	for what; do "has_$what" || printf '%s ' "$what"; done
}

# --- Debian and Ubuntu ---------------------------------------------------------------------------

packages() {
	for what; do
		case $what in
		postgres) echo postgresql ;;
		valkey) echo valkey-server ;;
		compiler) echo gcc libc6-dev ;;
		spin) echo spin ;;
		chromium) echo chromium fonts-dejavu-core ;;
		esac
	done
}

# quietly runs a command and keeps its output, that of the last one, for complain.
quietly() { "$@" >"$scratch/log" 2>&1 </dev/null; }

complain() {
	tail -n 20 "$scratch/log" >&2
	die "$*"
}

# apt_update fetches the package lists. apt waits for dpkg's lock but not for that of the lists, so this does. A failure
# is not the end: one source of many may be down, and whether the packages can be had is asked next.
apt_update() {
	say "fetching the package lists"
	tries=0
	until quietly apt-get -o DPkg::Lock::Timeout=120 update; do
		tail -n 5 "$scratch/log" | grep -q 'lists/lock' || return 0
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || complain "another process holds apt's lock for two minutes now; try again later"
		sleep 2
	done
}

# offers tells whether apt has package $1 in a major version of at least $2.
offers() {
	candidate=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}//p' | first_number)
	[ "${candidate:-0}" -ge "$2" ]
}

offered() {
	for what; do
		case $what in
		postgres) offers postgresql "$min_postgres" || return 1 ;;
		valkey) offers valkey-server "$min_valkey" || return 1 ;;
		compiler) offers gcc 1 && offers libc6-dev 1 || return 1 ;;
		spin) offers spin 6 || return 1 ;;
		chromium) offers chromium 100 || return 1 ;;
		esac
	done
}

# add_backports gives Debian 12, whose own archive has no Valkey, its backports: from the mirror that is in use, as a
# file of its own. Packages that another source has too are still taken from there.
add_backports() {
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && printf '%s %s' "${ID:-}" "${VERSION_CODENAME:-}")
	[ "$release" = "debian bookworm" ] || return 0
	! apt-get indextargets 'Codename: bookworm-backports' | grep -q . || return 0
	# shellcheck disable=SC2016 # the format is apt's
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 2>/dev/null | head -n 1)
	sources=/etc/apt/sources.list.d/bookworm-backports.sources
	[ ! -e "$sources" ] || die "$sources is there but gives nothing; look into it"
	say "adding $sources"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	{
		printf 'Types: deb\nURIs: %s\n' "${mirror:-http://deb.debian.org/debian/}"
		printf 'Suites: bookworm-backports\nComponents: main\n'
		[ ! -e "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
	} >"$sources"
	chmod 644 "$sources"
	apt_update
	offers valkey-server "$min_valkey" || {
		rm -f "$sources"
		complain "the mirror ${mirror:-deb.debian.org} has no usable bookworm-backports; $sources is removed again"
	}
}

find_packages() {
	offered "$@" && return 0
	apt_update
	offered "$@" && return 0
	offers postgresql 1 || complain "apt could not fetch the package lists; what it says is above"
	case " $* " in *' valkey '*) offers valkey-server "$min_valkey" || add_backports ;; esac
	offered "$@" || complain "on this release apt cannot offer all of: $*, with Postgres $min_postgres and Valkey $min_valkey" \
		"or newer; these two are at https://www.postgresql.org/download/ and https://valkey.io/download/"
}

# hold_services keeps the packages from creating a database cluster and from starting a Valkey, while they are being
# installed. cleanup takes both files away again.
hold_services() {
	clusters=/etc/postgresql-common/createcluster.d
	[ -d "$clusters" ] || made_clusters=$clusters
	mkdir -p "$clusters"
	hold_cluster=$clusters/tidelock.conf
	echo 'create_main_cluster = false' >"$hold_cluster"

	[ ! -e /usr/sbin/policy-rc.d ] || return 0 # somebody's own rule stands
	hold_start=/usr/sbin/policy-rc.d
	# shellcheck disable=SC2016 # $1 belongs to that script
	printf '#!/bin/sh\n# Of the moment: %s\ncase $1 in valkey-server*) exit 101 ;; esac\n' \
		"Tidelock's deps.sh removes it" >"$hold_start"
	chmod 755 "$hold_start"
}

cleanup() {
	[ -z "${hold_start:-}" ] || rm -f "$hold_start"
	[ -z "${hold_cluster:-}" ] || rm -f "$hold_cluster"
	[ -z "${made_clusters:-}" ] || rmdir "$made_clusters" 2>/dev/null || :
	rm -rf "$scratch"
}

apt_install() {
	quietly apt-get -y --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold install "$@"
}

has_valkey_unit() { command -v systemctl >/dev/null && systemctl cat valkey-server.service >/dev/null 2>&1; }

# install_debian is root's part. A valkey-server.service that comes with the package is not left to start at boot; one
# that was there before is not touched.
install_debian() {
	scratch=$(mktemp -d)
	trap cleanup EXIT
	trap 'exit 130' HUP INT TERM
	umask 022
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l LC_ALL=C
	find_packages "$@"
	# shellcheck disable=SC2046 # one word is one package
	set -- $(packages "$@")
	say "installing $*; this takes a minute, and only once"
	had_unit=no
	if has_valkey_unit; then had_unit=yes; fi
	hold_services
	apt_install "$@" || {
		apt_update # the lists may be older than the archive
		apt_install "$@" || complain "apt-get could not install $*"
	}
	if [ "$had_unit" = no ] && has_valkey_unit; then
		quietly systemctl disable --now valkey-server.service || say "could not disable valkey-server.service"
	fi
}

# become_root runs root's part, through sudo when we are somebody else.
become_root() {
	if [ "$(id -u)" = 0 ]; then
		sh "$0" install "$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n sh "$0" install "$@"
	elif command -v sudo >/dev/null && [ -t 0 ]; then
		say "root is needed to install: $*"
		sudo sh "$0" install "$@"
	else
		case $0 in /*) self=$0 ;; *) self=$PWD/$0 ;; esac
		die "root is needed to install: $*. Run this, then try again:  su -c 'sh $self install $*'"
	fi
}

# --- elsewhere -----------------------------------------------------------------------------------

# advise names the packages of one system, given as a command and the packages for postgres, valkey and compiler.
# Few systems have a package of spin; Chromium is called the same nearly everywhere.
advise() {
	run=$1 postgres=$2 valkey=$3 compiler=$4 chromium=chromium
	[ "$(uname -s)" != Darwin ] || chromium=google-chrome
	shift 4
	names=
	spin=
	for what; do
		case $what in
		postgres) names="$names $postgres" ;;
		valkey) names="$names $valkey" ;;
		compiler) names="$names $compiler" ;;
		spin) spin="; spin is at https://spinroot.com" ;;
		chromium) names="$names $chromium" ;;
		esac
	done
	[ -n "$names" ] || die "missing: $*$spin; put it on PATH, then try again"
	die "missing: $*$spin. Run this, then try again:  $run$names"
}

advise_system() {
	if [ "$(uname -s)" = Darwin ]; then advise "brew install" postgresql@17 valkey "" "$@"; fi
	if command -v dnf >/dev/null; then advise "sudo dnf install" postgresql-server valkey gcc "$@"; fi
	if command -v pacman >/dev/null; then advise "sudo pacman -S" postgresql valkey gcc "$@"; fi
	if command -v apk >/dev/null; then advise "sudo apk add" postgresql17 valkey "gcc musl-dev" "$@"; fi
	die "missing: $*. Needed are Postgres $min_postgres or newer, Valkey $min_valkey or newer and, for the tests, a C" \
		"compiler, spin and Chromium; put postgres, valkey-server, spin and chromium on PATH, then try again"
}

# --- main ----------------------------------------------------------------------------------------

check() {
	command -v go >/dev/null || die "go is not on PATH; Go 1.26 or newer is at https://go.dev/dl/"
	# The names hold no spaces.
	# shellcheck disable=SC2046
	set -- $(missing "$@")
	[ $# -gt 0 ] || return 0
	if ! command -v apt-get >/dev/null || [ ! -e /etc/debian_version ]; then advise_system "$@"; fi
	become_root "$@"
	left=$(missing "$@")
	[ -z "$left" ] || die "installed, but still missing in a version that serves: $left"
}

case ${1:-all} in
all) check postgres valkey compiler spin chromium ;;
servers) check postgres valkey ;;
install)
	shift
	[ "$(id -u)" = 0 ] || die "install is root's part"
	for what; do
		case $what in postgres | valkey | compiler | spin | chromium) ;; *) die "cannot install \"$what\"" ;; esac
	done
	install_debian "$@"
	;;
*) die "usage: deps.sh [all | servers | install [postgres] [valkey] [compiler] [spin] [chromium]]" ;;
esac
