/** What the method `chunk` runs in the container: constant text for `sh`; what varies comes in positional arguments. */

const checkFailedCode = 74;
export const notFoundCode = 75;
export const notCopyableCode = 76;

/** Says how bytes can be given: `base64`, or as octal numbers to `printf`. */
export const decoderScript = 'if command -v base64 >/dev/null; then echo base64; else echo printf; fi';

/**
 * Positional: the directory, the decoder, then steps with their arguments:
 * `d` name: a directory; `l` name target: a link; `f` name: an empty file; `a` name data: more of it;
 * `e` name bytes checksum: its end; `o` name kind uid gid mode seconds: owner, mode and time, of a link the owner.
 */
export const writeScript = `stage=$1 decoder=$2
shift 2
umask 077
check() { echo "$1: not as it was sent" >&2; exit ${checkFailedCode}; }
while [ $# -gt 0 ]; do
  file=$stage/$2
  case $1 in
    d) mkdir -m 700 "$file" || exit 1; shift 2 ;;
    l) ln -s -- "$3" "$file" || exit 1; shift 3 ;;
    f) : >"$file" || exit 1; shift 2 ;;
    a)
      if [ "$decoder" = base64 ]; then printf %s "$3" | base64 -d >>"$file" || exit 1
      else printf "$3" >>"$file" || exit 1; fi
      shift 3 ;;
    e)
      if command -v wc >/dev/null; then size=$(wc -c <"$file"); [ "$((size))" = "$3" ] || check "$file"; fi
      if command -v cksum >/dev/null; then sum=$(cksum <"$file"); [ "\${sum%% *}" = "$4" ] || check "$file"; fi
      shift 4 ;;
    o)
      if [ "$3" = l ]; then chown -h "$4:$5" "$file" || exit 1
      else
        chown "$4:$5" "$file" && chmod "$6" "$file" || exit 1
        touch -d "@$7" "$file" 2>/dev/null
      fi
      shift 7 ;;
    *) exit 1 ;;
  esac
done`;

/**
 * Positional: the path, the name of it in what is written. Writes, for each thing that is found, a line
 * `+ kind mode uid gid seconds bytes`, then, each in lines of base64 that end with a line `.`: its name; a link's
 * target and a newline; a file's content; and after a file a line with its checksum or `-`.
 */
export const readScript = `command -v base64 >/dev/null && command -v stat >/dev/null || exit 127
[ -e "$1" ] || [ -L "$1" ] || exit ${notFoundCode}
emit() {
  if [ -L "$1" ]; then kind=l
  elif [ -d "$1" ]; then kind=d
  elif [ -f "$1" ]; then kind=f
  elif [ -e "$1" ]; then exit ${notCopyableCode}
  else return 0; fi
  facts=$(stat -c '%a %u %g %Y %s' "$1") || exit 1
  echo "+ $kind $facts"
  printf %s "$2" | base64 || exit 1
  echo .
  case $kind in
    l) readlink "$1" | base64 || exit 1; echo . ;;
    f)
      base64 <"$1" || exit 1
      echo .
      if command -v cksum >/dev/null; then sum=$(cksum <"$1"); echo "\${sum%% *}"; else echo -; fi ;;
    d) for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do emit "$entry" "$2/\${entry##*/}"; done ;;
  esac
}
emit "$1" "$2"`;
