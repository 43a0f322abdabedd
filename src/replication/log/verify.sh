#!/bin/sh
# Checks this archive of a blog: that each entry follows the one before it, and that its author
# signed it. Needs gpg and the coreutils, no network, and leaves your own keyring alone.
#
#   sh verify.sh          says what is good (exit code 0), or the first bad entry and why (1)
#
# It begins from nothing but entries/000000.txt: compare the fingerprint that it prints with the one
# the author gave you by another way. What it does not check, `./council verify <this folder>` does:
# whether a key had expired or was revoked when it signed, and the receipts of the servers.
set -u
export LC_ALL=C
umask 077
cd -- "$(dirname -- "$0")" || exit 1

home=$(mktemp -d) || exit 1
trap 'rm -rf -- "$home"' EXIT
trap 'exit 1' HUP INT TERM

# Control characters of a forged text must not reach the terminal.
plain() { tr -d '\000-\011\013-\037\177'; }

bad() {
  printf 'bad: entry %s: %s\n' "$seq" "$1" | plain >&2
  exit 1
}

gpg_here() {
  gpg --homedir "$home" --no-options --batch --quiet --no-autostart --trust-model always \
    --no-auto-key-retrieve "$@"
}

# Writes the armored blocks of one kind that stand in a file.
blocks() {
  inside=no
  while IFS= read -r line || [ -n "$line" ]; do
    [ "$line" = "-----BEGIN PGP $1-----" ] && inside=yes
    [ $inside = yes ] && printf '%s\n' "$line"
    [ "$line" = "-----END PGP $1-----" ] && inside=no
  done <"$2"
}

# Whether the signature in file $1 over file $2 is the only one there and by the primary key $3.
# The exit code of gpg does not tell: it is 0 for expired and revoked keys, and for any key.
signed_by() {
  gpg_here --status-fd 1 --verify -- "$1" "$2" >"$home/status" 2>/dev/null
  count=0
  signer=none
  while read -r mark word _ _ _ _ _ _ _ hash class primary _; do
    [ "$mark" = '[GNUPG:]' ] || continue
    case $word in
      NEWSIG) count=$((count + 1)) ;;
      VALIDSIG)
        signer=$primary
        # SHA-256 or stronger, over a document or a text
        case $hash in 8 | 9 | 10 | 12 | 14) ;; *) signer=weak ;; esac
        case $class in 00 | 01) ;; *) signer=class ;; esac
        ;;
      BADSIG | ERRSIG) signer=none; count=9 ;;
    esac
  done <"$home/status"
  [ $count -eq 1 ] && [ "$signer" = "$3" ]
}

# Reads the headers of an entry into h_…; a second line of one name is an error.
read_headers() {
  h_council= h_blog= h_seq= h_prev= h_kind= h_date= h_key= h_recovery= h_next=
  first=yes
  while IFS= read -r line || [ -n "$line" ]; do
    if [ $first = yes ]; then
      [ "$line" = 'council-entry 1' ] || bad 'its first line is not "council-entry 1"'
      first=no
      continue
    fi
    [ -n "$line" ] || break
    value=${line#* }
    case ${line%% *} in
      council) [ -z "$h_council" ] || bad 'a header stands twice'; h_council=$value ;;
      blog) [ -z "$h_blog" ] || bad 'a header stands twice'; h_blog=$value ;;
      seq) [ -z "$h_seq" ] || bad 'a header stands twice'; h_seq=$value ;;
      prev) [ -z "$h_prev" ] || bad 'a header stands twice'; h_prev=$value ;;
      kind) [ -z "$h_kind" ] || bad 'a header stands twice'; h_kind=$value ;;
      date) [ -z "$h_date" ] || bad 'a header stands twice'; h_date=$value ;;
      key) [ -z "$h_key" ] || bad 'a header stands twice'; h_key=$value ;;
      recovery) [ -z "$h_recovery" ] || bad 'a header stands twice'; h_recovery=$value ;;
      next) [ -z "$h_next" ] || bad 'a header stands twice'; h_next=$value ;;
    esac
  done <"$1"
  seconds=$(date -u -d "$h_date" +%s 2>/dev/null) || bad "its date \"$h_date\" is not a time"
}

# A key counts only with its own signature over what it takes over.
check_possession() {
  printf 'council-rekey 1\ncouncil %s\nblog %s\nseq %s\nprev %s\nold %s\nnext %s' \
    "$h_council" "$h_blog" "$h_seq" "$h_prev" "$1" "$h_next" >"$home/rekey"
  blocks SIGNATURE "$2" >"$home/rekey.asc"
  signed_by "$home/rekey.asc" "$home/rekey" "$h_next" ||
    bad "the new key $h_next did not sign the change of key"
}

# Decides whose key must sign; the same rules that the servers follow.
current= recovery= waiting= waiting_since=0
expect_signer() {
  if [ "$h_kind" = genesis ]; then
    [ "$seq" -eq 0 ] || bad 'only entry 0 is of kind genesis'
    blocks 'PUBLIC KEY BLOCK' "$1" >"$home/keys"
    gpg_here --import "$home/keys" 2>/dev/null
    current=$h_key recovery=$h_recovery
    return
  fi
  [ "$seq" -ne 0 ] || bad 'a log begins with an entry of kind genesis'
  if [ -n "$waiting" ] && [ "$h_key" = "$waiting" ] && [ "$h_key" != "$current" ]; then
    [ "$seconds" -ge $((waiting_since + 72 * 3600)) ] ||
      bad 'the new key may write 72 hours after the rekey that the recovery key signed'
    current=$waiting waiting=
  elif [ "$h_key" = "$current" ]; then
    waiting=
  fi
  if [ "$h_kind" = rekey ]; then
    blocks 'PUBLIC KEY BLOCK' "$1" >"$home/keys"
    gpg_here --import "$home/keys" 2>/dev/null
    check_possession "$current" "$1"
    if [ "$h_key" = "$current" ]; then
      current=$h_next waiting=
      return
    fi
    [ -n "$recovery" ] && [ "$h_key" = "$recovery" ] ||
      bad "it is signed by $h_key, which is neither the key in force nor the recovery key"
    waiting=$h_next waiting_since=$seconds
  elif [ "$h_key" != "$current" ]; then
    bad "it names the key $h_key, but the key in force is $current"
  fi
}

seq=0 before= council= blog= last=0
while :; do
  text=$(printf 'entries/%06d.txt' "$seq")
  [ -f "$text" ] || break
  [ -f "$text.asc" ] || bad "its signature $text.asc is missing"
  read_headers "$text"
  [ "$seq" -eq 0 ] && council=$h_council && blog=$h_blog
  [ "$h_seq" = "$seq" ] || bad "it says seq $h_seq"
  [ "$h_prev" = "$before" ] || bad 'it does not follow the entry before it (prev)'
  [ "$h_council" = "$council" ] || bad "it is for another council: $h_council"
  [ "$h_blog" = "$blog" ] || bad "it is for another blog: $h_blog"
  [ "$seconds" -ge "$last" ] || bad "its date $h_date lies before the date of the entry before it"
  last=$seconds
  expect_signer "$text"
  signed_by "$text.asc" "$text" "$h_key" || bad "its signature is not a good one by the key $h_key"
  before=$(sha256sum <"$text")
  before=${before%% *}
  [ "$seq" -eq 0 ] && genesis=$before && first_key=$h_key
  seq=$((seq + 1))
done

set -- entries/*.txt
[ -e "$1" ] || bad 'it is missing'
[ $# -eq $seq ] || bad 'it is missing, but later ones are here'
{
  printf 'good: %s entries of blog %s\n' "$seq" "$blog"
  printf 'council      %s\nblog id      %s\nfirst key    %s\nkey in force %s\nlast entry   %s\n' \
    "$council" "$genesis" "$first_key" "$current" "$before"
} | plain
