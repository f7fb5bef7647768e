/**
 * Completion for three shells. Each asks `pluck __complete` and prints what it gets; nothing of the
 * command line is known here, so a script stays right when commands are added. A word that is not at
 * its end (a folder, a VM, a disk) gets no blank after it.
 */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

const bash = `# bash completion for pluck. Use: source <(pluck completion bash)
_pluck() {
  local candidate
  COMPREPLY=()
  while IFS= read -r candidate; do
    COMPREPLY+=("$candidate")
  done < <("\${COMP_WORDS[0]}" __complete bash "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[/:@=] ]]; then compopt -o nospace; fi
}
complete -o nosort -F _pluck pluck
`;

const zsh = `#compdef pluck
# zsh completion for pluck. Use: source <(pluck completion zsh)
_pluck() {
  local -a found open closed
  local candidate
  found=("\${(@f)$("\${words[1]}" __complete zsh "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  for candidate in $found; do
    [[ -z $candidate ]] && continue
    if [[ $candidate == *[/:@=] ]]; then open+=("$candidate"); else closed+=("$candidate"); fi
  done
  (( $#open )) && compadd -U -S '' -a open
  (( $#closed )) && compadd -U -a closed
  return 0
}
if [[ $funcstack[1] == _pluck ]]; then _pluck "$@"; else compdef _pluck pluck; fi
`;

const fish = `# fish completion for pluck. Use: pluck completion fish | source
function __pluck_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete fish $words[2..-1] 2>/dev/null
end
complete -c pluck -f -a '(__pluck_complete)'
`;

export const completionScripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
