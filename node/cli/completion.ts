/** Shell completion, made from the commands themselves so that it cannot lag behind them. */
import type { Command, Option } from 'commander'

export type Shell = 'bash' | 'zsh' | 'fish'

/** What may follow a path of commands. */
interface Place {
  /** Names of commands, as `golden list`; empty for the program itself. */
  path: string
  words: Array<{ word: string, about: string }>
  options: Array<{ flags: string[], about: string, takesValue: boolean }>
}

/** A script to be sourced by the shell; completes commands, sub-commands and options, and files where a value is asked for. */
export function completionScript (program: Command, shell: Shell): string {
  const places = placesOf(program, [])
  const name = program.name()
  return { bash, zsh, fish }[shell](name, places)
}

function placesOf (command: Command, path: string[]): Place[] {
  const words = command.commands.filter((sub) => !hidden(sub)).map((sub) => ({ word: sub.name(), about: firstLine(sub.description()) }))
  const own = { path: path.join(' '), words: path.length === 0 ? [...words, { word: 'help', about: 'help for a command' }] : words, options: [...command.options.filter((option) => !option.hidden).map(optionOf), { flags: ['-h', '--help'], about: 'help', takesValue: false }] }
  return [own, ...command.commands.filter((sub) => !hidden(sub)).flatMap((sub) => placesOf(sub, [...path, sub.name()]))]
}

/** Commander keeps to itself whether a command is hidden. */
function hidden (command: Command): boolean {
  return '_hidden' in command && command._hidden === true
}

function optionOf (option: Option): Place['options'][number] {
  return { flags: [option.short, option.long].filter((flag) => flag !== undefined), about: firstLine(option.description), takesValue: option.required || option.optional }
}

function firstLine (text: string): string { return text.split('\n')[0] ?? '' }

/** A word of the shell's in single quotes. */
function quoted (text: string): string { return `'${text.replaceAll("'", `'\\''`)}'` }

const functionName = (name: string): string => `_${name.replaceAll(/[^A-Za-z0-9]/g, '_')}`

/** What both bash and zsh need: the sub-command that the words so far lead to, found by walking them. */
function walk (places: Place[]): string {
  const arms = places.flatMap(({ path, words }) => words.filter(({ word }) => places.some((place) => place.path === `${path} ${word}`.trim()))
    .map(({ word }) => `      ${quoted(`${path} ${word}`.trim())}) place=${quoted(`${path} ${word}`.trim())} ;;`))
  return ['    case "${place:+$place }$word" in', ...arms, '    esac'].join('\n')
}

function bash (name: string, places: Place[]): string {
  const arms = places.map(({ path, words, options }) => {
    const values = options.filter(({ takesValue }) => takesValue).flatMap(({ flags }) => flags)
    return `    ${quoted(path)}) words=${quoted(words.map(({ word }) => word).join(' '))} options=${quoted(options.flatMap(({ flags }) => flags).join(' '))} values=${quoted(` ${values.join(' ')} `)} ;;`
  })
  return `# bash completion for ${name}; in ~/.bashrc: source <(${name} completion bash)
${functionName(name)}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} place= word words= options= values=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${walk(places)}
  done
  case "$place" in
${arms.join('\n')}
  esac
  if [[ $cur != -* && $values == *" $before "* ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    [[ \${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F ${functionName(name)} ${name}
`
}

function zsh (name: string, places: Place[]): string {
  const entry = (word: string, about: string): string => quoted(`${word.replaceAll(':', '\\:')}:${about}`)
  const arms = places.map(({ path, words, options }) =>
    `    ${quoted(path)}) words_=(${words.map(({ word, about }) => entry(word, about)).join(' ')}) options_=(${options.flatMap(({ flags, about }) => flags.map((flag) => entry(flag, about))).join(' ')}) ;;`)
  return `#compdef ${name}
# zsh completion for ${name}; in ~/.zshrc, after compinit: source <(${name} completion zsh)
${functionName(name)}() {
  local place= word
  local -a words_ options_
  for word in "\${words[@]:1:$((CURRENT-2))}"; do
${walk(places)}
  done
  case "$place" in
${arms.join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe option options_
  else
    _describe command words_ || _files
  fi
}
compdef ${functionName(name)} ${name}
`
}

function fish (name: string, places: Place[]): string {
  const lines = places.flatMap(({ path, words, options }) => {
    const test = `-n ${quoted(`${functionName(name)}_at ${path}`.trim())}`
    return [
      ...words.map(({ word, about }) => `complete -c ${name} ${test} -f -a ${quoted(word)} -d ${quoted(about)}`),
      ...options.map(({ flags, about, takesValue }) => [`complete -c ${name} ${test}`, ...flags.map((flag) => flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`), ...(takesValue ? ['-r'] : []), `-d ${quoted(about)}`].join(' '))
    ]
  })
  const known = places.filter(({ path }) => path !== '').map(({ path }) => quoted(path))
  return `# fish completion for ${name}; in ~/.config/fish/config.fish: ${name} completion fish | source
function ${functionName(name)}_at
  set -l path
  for word in (commandline -opc)[2..-1]
    contains -- (string join ' ' $path $word) ${known.join(' ')}; and set -a path $word
  end
  test "$path" = "$argv"
end
${lines.join('\n')}
`
}
