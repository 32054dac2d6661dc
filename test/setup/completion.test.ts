import { execFileSync } from 'node:child_process'
import { Command } from 'commander'
import { expect, test } from 'vitest'
import { completionScript } from '../../node/cli/completion.ts'

function program (): Command {
  const top = new Command('plantmesh').option('--json', 'one document')
  const golden = top.command('golden').description("golden machines: a plant's own")
  golden.command('list').option('--api <path>', 'where')
  golden.command('show')
  top.command('create').requiredOption('-f, --file <file>', 'the order')
  top.command('secret', { hidden: true })
  return top
}

/** What bash offers after these words, asked of bash itself. */
function offered (...words: string[]): string[] {
  const script = `${completionScript(program(), 'bash')}\nCOMP_WORDS=(plantmesh "$@"); COMP_CWORD=$#; _plantmesh; printf '%s\\n' "\${COMPREPLY[@]}"`
  return execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8', cwd: import.meta.dirname }).split('\n').filter((line) => line !== '')
}

test('bash completes commands, sub-commands and options, also behind options', () => {
  expect(offered('')).toEqual(['golden', 'create', 'help'])
  expect(offered('go')).toEqual(['golden'])
  expect(offered('golden', '')).toEqual(['list', 'show'])
  expect(offered('--json', 'golden', 'list', '--')).toEqual(['--api', '--help'])
  expect(offered('create', '-')).toEqual(['-f', '--file', '-h', '--help'])
})

test('bash completes files where a value is wanted and where no command fits', () => {
  expect(offered('create', '-f', 'compl')).toEqual(['completion.test.ts'])
  expect(offered('create', 'verd')).toEqual(['verdict.test.ts'])
})

test('every shell is told every command and its purpose, quoted', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const script = completionScript(program(), shell)
    for (const word of ['golden', 'list', 'show', 'create', 'file', 'api']) expect(script).toContain(word)
    expect(script).not.toContain('secret')
    expect(script.endsWith('\n')).toBe(true)
  }
  expect(completionScript(program(), 'zsh')).toContain("golden machines: a plant'\\''s own")
})
