/** template tree, find, series, why, label, unlabel, pin, unpin, follow, unfollow, remove: CONTRACT.md, Commands. */
import type { Command } from 'commander'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlantError, keyIdOf, type Signer } from '../../protocols/kit/index.ts'
import { signMark, type Mark } from '../../protocols/template/index.ts'
import type { TemplateView } from '../plant/templates/template-view.ts'
import { clientOptions, runCommand, type Context } from './context.ts'
import { domainSigner } from './domain-keys.ts'
import { watch as watchLabel } from './follow-watch.ts'
import { FollowFile, labelArgument } from './follows.ts'
import { printable } from './output.ts'
import { labelMarks, labelledByOthers } from './template-label.ts'
import { oneNamed, rootsOf, templatesNamed } from './template-names.ts'
import { goldenIdQuery, lifeText, whyOf } from './template-life-text.ts'
import { templatesTable, treeText } from './template-text.ts'

const NAME_ABOUT = 'a series, name@version, or an id'
/** How often `follow --watch` looks. */
const WATCH_EVERY_MS = 1_000
/** Keys that an answer shows to people. */
const OTHERS_SHOWN_MAX = 8

/** Adds the commands. */
export function templateCommands (program: Command): void {
  const template = program.command('template').description('golden machines as templates: their tree, versions and labels')
  readingCommands(template)
  markingCommands(template)
  followCommands(template)
}

function readingCommands (template: Command): void {
  clientOptions(template.command('tree').description('what is made from what').argument('[name]', NAME_ABOUT))
    .addHelpText('after', '\nExample:\n  plantmesh template tree workspace')
    .action(async (name: string | undefined, options) => runCommand(options, async (c) => {
      const all = await listed(c)
      const roots = rootsOf(all, name)
      c.out.answer(roots.map((root) => nested(root, all, new Set())), treeText(all, roots))
    }))
  clientOptions(template.command('find').description('templates for which a ClassAd expression holds').argument('<expression>'))
    .addHelpText('after', '\nExample:\n  plantmesh template find \'member("physics", Labels) && MemoryMiB <= 512\'')
    .action(async (expression: string, options) => runCommand(options, async (c) => {
      const found = await listed(c, expression)
      c.out.answer(found, templatesTable(found))
    }))
  clientOptions(template.command('why').description('how it is used, how many copies it has and is to have, and what this plant does about it').argument('[name]', NAME_ABOUT))
    .addHelpText('after', '\nExample:\n  plantmesh template why workspace')
    .action(async (name: string | undefined, options) => runCommand(options, async (c) => {
      const all = await listed(c)
      const asked = name === undefined ? all : templatesNamed(all, name)
      const why = whyOf(await c.api.get(`/v1/templates/why${name === undefined ? '' : goldenIdQuery(asked)}`, c.signal), asked)
      c.out.answer(why, lifeText(why))
    }))
  clientOptions(template.command('series').description('the versions of a series, the newest first').argument('[name]'))
    .addHelpText('after', '\nExample:\n  plantmesh template series workspace')
    .action(async (name: string | undefined, options) => runCommand(options, async (c) => {
      const all = await listed(c)
      const found = name === undefined ? all : all.filter(({ series }) => series === name)
      if (name !== undefined && found.length === 0) throw new PlantError('GOLDEN_UNKNOWN', { name })
      const versions = found.toSorted((a, b) => (a.series < b.series ? -1 : Number(a.series > b.series)) || b.version - a.version)
      c.out.answer(versions, templatesTable(versions))
    }))
}

function markingCommands (template: Command): void {
  for (const on of [true, false]) {
    const verb = on ? 'pin' : 'unpin'
    clientOptions(template.command(verb).description(on ? 'keep it from being disposed of, however long nobody uses it' : 'take your pin off').argument('<name>', NAME_ABOUT))
      .addHelpText('after', `\nExample:\n  plantmesh template ${verb} workspace@2`)
      .action(async (name: string, options) => runCommand(options, async (c) => setPin(c, name, on)))
  }
  clientOptions(template.command('label').description('attach a label, for everybody to see').argument('<name>', NAME_ABOUT).argument('<label>'))
    .addHelpText('after', '\nExample:\n  plantmesh template label workspace@2 physics')
    .action(async (name: string, label: string, options) => runCommand(options, async (c) => setLabel(c, name, label, true)))
  clientOptions(template.command('unlabel').description('take your label off').argument('<name>', NAME_ABOUT).argument('<label>'))
    .addHelpText('after', '\nExample:\n  plantmesh template unlabel workspace@2 physics')
    .action(async (name: string, label: string, options) => runCommand(options, async (c) => setLabel(c, name, label, false)))
  clientOptions(template.command('remove').description('remove a version, or a whole series, from every plant').argument('<name>', NAME_ABOUT))
    .addHelpText('after', '\nExample:\n  plantmesh template remove workspace@1')
    .action(async (name: string, options) => runCommand(options, async (c) => remove(c, name)))
}

/** All sizes of the version: each is kept by itself. */
async function setPin (c: Context, name: string, on: boolean): Promise<void> {
  const template = oneNamed(await listed(c), name)
  const signer = await c.signer()
  const by = keyIdOf(signer.publicKey)
  for (const { goldenId } of template.sizes) await c.api.post('/v1/templates/marks', { signed: signed(signer, { by, goldenId, kind: 'pin', on, atMs: Date.now() }) }, c.signal)
  c.out.answer({ template: template.name, goldenId: template.goldenId, pinned: on }, `${printable(template.name)} ${on ? 'is pinned' : 'has no longer your pin'}`)
}

function followCommands (template: Command): void {
  clientOptions(template.command('follow').description('templates with a label that you follow from now on; new ones are marked').argument('<label>'))
    .option('--watch', 'go on, and show new ones as they come')
    .addHelpText('after', '\nExample:\n  plantmesh template follow physics --watch')
    .action(async (label: string, options) => runCommand(options, async (c) => follow(c, label, options.watch === true)))
  clientOptions(template.command('unfollow').description('follow a label no longer').argument('<label>'))
    .addHelpText('after', '\nExample:\n  plantmesh template unfollow physics')
    .action(async (label: string, options) => runCommand(options, async (c) => {
      const followed = await (await followFile(c)).forget(labelArgument(label))
      c.out.answer({ label, followed: false, was: followed }, followed ? `${label} is followed no longer` : `${label} was not followed`)
    }))
}

async function listed (c: Context, find?: string): Promise<TemplateView[]> {
  const answer = find === undefined ? await c.api.get('/v1/templates', c.signal) : await c.api.post('/v1/templates/find', { find }, c.signal)
  return (answer as { templates: TemplateView[] }).templates
}

interface Nested extends TemplateView { children: Nested[] }

function nested (root: TemplateView, all: readonly TemplateView[], above: ReadonlySet<TemplateView>): Nested {
  const ids = new Set(root.sizes.map(({ goldenId }) => goldenId))
  const path = new Set([...above, root])
  const children = all.filter((one) => one.base !== undefined && ids.has(one.base.goldenId) && !path.has(one))
  return { ...root, children: children.map((child) => nested(child, all, path)) }
}

async function setLabel (c: Context, name: string, label: string, on: boolean): Promise<void> {
  labelArgument(label)
  const template = oneNamed(await listed(c), name)
  const signer = await c.signer()
  const by = keyIdOf(signer.publicKey)
  for (const mark of labelMarks(template, { by, label, on, nowMs: Date.now() })) await c.api.post('/v1/templates/marks', { signed: signed(signer, mark) }, c.signal)
  const others = labelledByOthers(template, by, label)
  const left = on || others.length === 0 ? '' : `\n${others.length} others have put it on too: ${others.slice(0, OTHERS_SHOWN_MAX).join(', ')}`
  c.out.answer({ template: template.name, goldenId: template.goldenId, label, on, others }, `${printable(template.name)} ${on ? 'has the label' : 'has no longer your label'} ${label}${left}`)
}

async function remove (c: Context, name: string): Promise<void> {
  const templates = templatesNamed(await listed(c), name)
  const marks = await Promise.all(templates.map(async (template) => {
    const signer = await signerFor(c, template)
    const by = keyIdOf(signer.publicKey)
    return template.sizes.map(({ goldenId }) => signed(signer, { by, goldenId, kind: 'removed', name: template.series, version: template.version, atMs: Date.now() }))
  }))
  const answer = await c.api.post('/v1/templates/remove', { signed: marks.flat() }, c.signal) as { silent: string[] }
  const names = templates.map((template) => template.name)
  const silent = answer.silent.length === 0 ? '' : `\n${answer.silent.length} plants did not say whether they use it; they go by the removal once they hear of it`
  c.out.answer({ removed: names, silent: answer.silent }, `${printable(names.join(', '))} removed${silent}`)
}

/** The key that may remove it, where this client has it: its own, or its domain's. */
async function signerFor (c: Context, { domain, domainKey }: TemplateView): Promise<Signer> {
  const own = await c.signer()
  const ofDomain = domain === undefined ? undefined : domainSigner(c, domain)
  return ofDomain !== undefined && keyIdOf(ofDomain.publicKey) === domainKey ? ofDomain : own
}

function signed (signer: Signer, mark: Mark): string { return Buffer.from(signMark(signer, mark)).toString('base64') }

async function followFile (c: Context): Promise<FollowFile> { return new FollowFile(c.configDir, keyIdOf((await c.signer()).publicKey)) }

async function follow (c: Context, label: string, watch: boolean): Promise<void> {
  labelArgument(label)
  const file = await followFile(c)
  const seen = (await file.all()).get(label) ?? new Set<string>()
  const withLabel = async (): Promise<TemplateView[]> => (await listed(c)).filter(({ labels }) => labels.includes(label))
  const found = await withLabel()
  await file.shown(label, found.map(({ goldenId }) => goldenId))
  const told = found.map((one) => ({ ...one, new: !seen.has(one.goldenId) }))
  if (!watch) {
    c.out.answer(told, templatesTable(found, ({ goldenId }) => !seen.has(goldenId)))
    return
  }
  const say = (one: TemplateView & { new: boolean }): void => { c.out.answer(one, `${printable(one.name)}  ${one.goldenId}${one.new ? '  new' : ''}`) }
  for (const one of told) say(one)
  await watchLabel(found, {
    look: withLabel,
    onNew: async (fresh) => {
      for (const one of fresh) say({ ...one, new: !seen.has(one.goldenId) })
      await file.shown(label, fresh.map(({ goldenId }) => goldenId))
    },
    wait: async () => sleep(WATCH_EVERY_MS, undefined, { signal: c.signal }).catch(() => { throw c.signal.reason }),
    onSilence: (silent) => { c.out.note(silent ? 'the plant does not answer; waiting for it' : 'the plant answers again') }
  })
}
