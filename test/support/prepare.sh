#!/usr/bin/env bash
# Installs the Debian programs that tests use, where it may: as root on Debian. Elsewhere it names
# what will be skipped and how to get it. Never fails: a missing program skips tests, and what a
# skip means is for the caller to say (`.ci/run` counts it as a failure).
set -u

# program | Debian package | what is tested with it
needs='
gpg       | gnupg          | keys and signatures made and checked by real gpg
gpg-agent | gnupg          | keys and signatures made and checked by real gpg
dig       | bind9-dnsutils | DNS answers read by a resolver that is not ours
openssl   | openssl        | receipts and acts checked without our code
curl      | curl           | the HTTP lines that the documents give
chromium  | chromium       | pages used as a person would, in a browser
caddy     | caddy          | spokes behind a proxy that ends TLS
sks       | sks            | revocations asked of a real key server
unshare   | util-linux     | a browser that asks the DNS of a council and no other, a disk of few MiB
nsenter   | util-linux     | a disk of few MiB that fills up
getent    | libc-bin       | names as the resolver of this machine finds them
'

# Calls "$1 program package purpose" for each program that is not on the PATH.
each_missing() {
  local program package purpose
  while IFS='|' read -r program package purpose; do
    program=${program// /} package=${package// /} purpose=${purpose# }
    if [ -n "$program" ] && ! command -v "$program" >/dev/null; then
      "$1" "$program" "$package" "$purpose"
    fi
  done <<<"$needs"
}

packages=()
add_package() {
  case " ${packages[*]-} " in *" $2 "*) ;; *) packages+=("$2") ;; esac
}
each_missing add_package
if [ ${#packages[@]} -eq 0 ]; then exit 0; fi

if [ "$EUID" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "Installing what the tests need: ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # One stale source fails the update but need not hinder the install, so that one decides.
  updated=$(apt-get update -q </dev/null 2>&1)
  if ! installed=$(apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=120 \
    "${packages[@]}" </dev/null 2>&1); then
    printf '%s\n' "$updated" "$installed" >&2
  fi
  hash -r
fi

name_skipped() {
  echo "$1 is missing, so tests are skipped: $3." \
    "To get it: sudo apt-get install $2 (on Debian; elsewhere the package that has $1)" >&2
}
each_missing name_skipped
exit 0
