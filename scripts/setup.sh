#!/usr/bin/env bash
# Installs what is missing to build and run Millrace on Debian 12, and says what that is.
# Usage: scripts/setup.sh demo|test|bench|examples|examples-all
set -euo pipefail
cd "$(dirname "$0")/.."

# Each tool by its command, or by a file where there is none, and the Debian package that brings it. A compiler, CMake and an assembler
# build the codecs; SVT-AV1 is Debian's own.
demo=(g++:g++ cmake:cmake nasm:nasm /usr/include/svt-av1/EbSvtAv1Enc.h:libsvtav1enc-dev)
test=("${demo[@]}" curl:curl ffmpeg:ffmpeg ffprobe:ffmpeg chromium:chromium)
bench=("${test[@]}" nginx:nginx-light wrk:wrk h2load:nghttp2-client)
# The plugin in C: a compiler and linker for WebAssembly, the C library, the compiler's own functions, and a parser of JSON.
examples=(clang-19:clang-19 wasm-ld-19:lld-19 /usr/include/wasm32-wasi/stdio.h:wasi-libc
	/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a:libclang-rt-19-dev-wasm32 /usr/include/jsmn.h:libjsmn-dev)
# And the plugin in Python.
examples_all=("${examples[@]}" python3:python3 /usr/share/doc/python3-venv:python3-venv)
targets=(wasm32-unknown-unknown)

say() { printf 'setup: %s\n' "$*"; }
die() {
	printf 'setup: %s\n' "$*" >&2
	exit 1
}

case "${1:-}" in
demo) tools=("${demo[@]}") ;;
test) tools=("${test[@]}") ;;
bench) tools=("${bench[@]}") ;;
examples) tools=("${examples[@]}") targets+=(wasm32-wasip2) ;;
examples-all) tools=("${examples_all[@]}") targets+=(wasm32-wasip2) ;;
*) die "usage: scripts/setup.sh demo|test|bench|examples|examples-all" ;;
esac

# Servers live in sbin, which is not on everybody's path.
has() {
	case "$1" in
	/*) [[ -e $1 ]] ;;
	*) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 ;;
	esac
}

check_node() {
	has node && has npm || die "Node.js 20.19 or later and npm are needed, and not found: https://nodejs.org/en/download"
	local version major minor
	version=$(node --version)
	IFS=. read -r major minor _ <<<"${version#v}"
	if ((major < 20 || (major == 20 && minor < 19))); then
		die "Node.js $version is too old, 20.19 or later is needed: https://nodejs.org/en/download"
	fi
}

install_packages() {
	local missing=() tool package
	for tool in "${tools[@]}"; do
		package=${tool#*:}
		if ! has "${tool%%:*}" && [[ " ${missing[*]} " != *" $package "* ]]; then
			missing+=("$package")
		fi
	done
	((${#missing[@]})) || return 0

	has apt-get || die "please install: ${missing[*]} (named as in Debian: there is no apt-get here)"
	local as_root=()
	if ((EUID != 0)); then
		has sudo || die "please run as root: apt-get install ${missing[*]}"
		as_root=(sudo)
	fi
	say "installing with apt: ${missing[*]}"
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
	# The benchmarks start an nginx of their own; Debian's would go on serving on port 80.
	if [[ " ${missing[*]} " == *" nginx-light "* && -d /run/systemd/system ]]; then
		"${as_root[@]}" systemctl disable --now nginx.service
	fi
}

install_rust_parts() {
	has cargo || die "Rust is needed, and not found: https://rustup.rs"
	local target
	for target in "${targets[@]}"; do
		if ! [[ -d $(rustc --print target-libdir --target "$target" 2>/dev/null) ]]; then
			has rustup || die "the Rust target $target is needed, and there is no rustup to add it: https://rustup.rs"
			say "adding the Rust target $target"
			rustup target add "$target"
		fi
	done
	local component
	for component in rustfmt clippy; do
		if ! cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1; then
			has rustup || die "the Rust component $component is needed, and there is no rustup to add it: https://rustup.rs"
			say "adding the Rust component $component"
			rustup component add $component
		fi
	done
}

check_node
install_packages
install_rust_parts
