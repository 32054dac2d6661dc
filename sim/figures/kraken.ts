/** Kraken's own figures for a flash crowd (uber/kraken, README: 2,600 hosts, a blob of 3 GB, 300 MB/s a host). */
import { valueOf, type Study } from '../stats/index.ts'
import type { PaperFigure } from './paper-figure.ts'
import { interval, seconds } from './text.ts'

const PAPER = [['fetchMsP50', 'half of the hosts', '10 s (at the line\'s bound)'], ['fetchMsP99', '99 of a hundred hosts', '18 s'], ['fetchMsP999', '999 of a thousand hosts', '22 s']] as const

/** Times until hosts have the image, beside Kraken's. */
export function kraken (study: Study): PaperFigure {
  return {
    id: 'kraken',
    title: 'An image flash crowd beside Kraken',
    source: 'Kraken (Uber), README, comparison of 2,600 hosts',
    rows: study.points.flatMap((point) => [
      ...PAPER.map(([value, what, paper]) => ({ what: `${what} (${point.point.name})`, paper, ours: seconds(valueOf(point, value)), ...(value !== 'fetchMsP50' && { differs: DIFFERS }) })),
      { what: `copies that the publisher sent (${point.point.name})`, paper: '-', ours: interval(valueOf(point, 'publisherCopies')) }
    ]),
    plots: [],
    notes: [
      'No host can have the image sooner than its line carries it: 10 s.',
      'The model is the swarm at its best: no host is late, nothing is lost, no work for the processor. On small crowds the engine itself takes 1.1 to 1.3 times the bound where the model takes 1.05 (sim/scale/README.md).'
    ]
  }
}

const DIFFERS = 'Kraken\'s times are of real hosts, of which some are busy, far, or begin late; in the model hosts differ by their lines only. With two in a hundred at half the rate the slowest take 20 s by their lines alone.'
