/** Series and versions: golden machines of one owner and name are a series, of which each publication is the next version. */
import type { Golden } from './golden.ts'

/** As it is told apart in one series; those of before there were versions, and those that plants build, are the first. */
export function versionOf (golden: Pick<Golden, 'version'>): number { return golden.version ?? 1 }

/** `workspace@2`: what an order says to have this very version. */
export function versionName (golden: Pick<Golden, 'name' | 'version'>): string { return `${golden.name}@${versionOf(golden)}` }

/** The parts of `name@version`; undefined for any other text. */
export function parseVersionName (text: string): { name: string, version: number } | undefined {
  const found = /^([^@]+)@([1-9]\d{0,8})$/.exec(text)
  return found === null ? undefined : { name: found[1] ?? '', version: Number(found[2]) }
}

/** Golden machines of one name are one person's when this is the same. */
export function whose ({ publishedBy: by, publisher }: Pick<Golden, 'publishedBy' | 'publisher'>): string {
  return by === undefined ? `plant ${publisher ?? ''}` : `domain ${by.domain} (${by.domainKey})`
}

/** One template: all sizes of one version. */
export function templateKey (golden: Pick<Golden, 'publishedBy' | 'publisher' | 'name' | 'version'>): string {
  return `${versionName(golden)} of ${whose(golden)}`
}
