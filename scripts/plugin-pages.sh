#!/usr/bin/env bash
# Runs the commands of the pages for authors of plugins, docs/plugins/{rust,c,javascript,python}.md, as they stand there: what a page says
# has to end with a component. What installs packages, starts a server or asks one is left out.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

# The pages work in the home of their reader. What the tools keep in the home of this user stays in use.
export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
export npm_config_cache="${npm_config_cache:-$HOME/.npm}" npm_config_userconfig="${npm_config_userconfig:-$HOME/.npmrc}"
# The pages say where Cargo puts what it builds.
unset CARGO_TARGET_DIR

commands() {
	awk '/^ *```sh$/ { match($0, /^ */); indent = RLENGTH; inside = 1; next }
		/^ *```$/ { inside = 0; next }
		inside { print substr($0, indent + 1) }' "$1" |
		grep -vE '^(git clone|make -C|sudo|curl|~/millrace/target/debug/millrace) '
}

homes=$(mktemp -d)
trap 'rm -rf "$homes"' EXIT
for language in rust c javascript python; do
	home=$homes/$language
	mkdir "$home"
	ln -s "$root" "$home/millrace"
	echo "docs/plugins/$language.md"
	commands "$root/docs/plugins/$language.md" | HOME=$home bash -euo pipefail >"$home/log" 2>&1 || {
		cat "$home/log" >&2
		exit 1
	}
	imports=$(cargo run --quiet --manifest-path "$root/plugins/contract/Cargo.toml" -- imports "$home/counter/counter.wasm")
	if [[ $imports != *millrace:plugin/metrics@* ]]; then
		echo "plugin-pages: the component of docs/plugins/$language.md counts nothing" >&2
		exit 1
	fi
done
