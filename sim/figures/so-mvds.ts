/** SO-MVDS, equation (1): a batch is over when the node with the most to do is. */
import { bySeed, valueOf, type PointRuns, type Study, type Summary } from '../stats/index.ts'
import type { PaperFigure } from './paper-figure.ts'
import { interval, seconds } from './text.ts'

const S = 1_000
/** SO-MVDS, Figure 9. */
const PAPER_POINTS = [{ x: 5, y: 11 }, { x: 40, y: 88 }]

/** Total time of a batch against the equation, over batch sizes. */
export function soMvds1 (study: Study): PaperFigure {
  const rows = study.points.map((point) => ({ point, count: Math.round(valueOf(point, 'orders').mean), total: valueOf(point, 'makespanMs'), equation: valueOf(point, 'equationMs') })).sort((a, b) => a.count - b.count)
  const at = (count: number): typeof rows[number] | undefined => rows.find((row) => row.count === count)
  const paper = (count: number, paperS: number): PaperFigure['rows'] => {
    const row = at(count)
    return row === undefined ? [] : [{ what: `a batch of ${count}`, paper: `about ${paperS} s`, ours: seconds(row.total) }]
  }
  const off = rows.map(({ point, count }) => ({ count, share: bySeed(point, point, ({ makespanMs = NaN, equationMs = NaN }) => Math.abs(equationMs / makespanMs - 1)) })).filter(({ share }) => share.count > 0)
  const worst = off.reduce<typeof off[number] | undefined>((max, one) => max === undefined || one.share.mean > max.share.mean ? one : max, undefined)
  const [five, forty] = [at(5)?.point, at(40)?.point]
  return {
    id: 'so-mvds-1',
    title: 'Batches and equation (1)',
    source: 'SO-MVDS, equation (1) and Figure 9',
    rows: [
      { what: 'total = Tc + Ts + the largest sum on one node', paper: 'equation (1)', ours: worst === undefined ? '-' : `off by ${interval(worst.share, 0.01, '%')} where most, at ${worst.count}` },
      ...paper(5, 11),
      ...paper(40, 88),
      { what: 'growth from 5 to 40 machines on 8 nodes', paper: 'eight times', ours: five === undefined || forty === undefined ? '-' : `${interval(growth(five, forty))} times`, differs: 'With a time of its own for each deployment the equation gives five times (5 machines on each node against 1). Eight times means that deployments slow each other down: here all nodes read the template from one NFS server at the 199 Mbit/s of Figure 10, and the times that go into the equation grow with it.' }
    ],
    plots: [{
      kind: 'line', title: 'Deployment of a batch', caption: 'From the first order to the last machine, the equation with the run\'s own times, and the two values that the paper gives.', xLabel: 'machines', yLabel: 'seconds', yZero: true,
      series: [
        { name: 'run', points: rows.map(({ count, total }) => ({ x: count, y: total.mean / S, ...(!Number.isNaN(total.half) && { low: (total.mean - total.half) / S, high: (total.mean + total.half) / S }) })) },
        { name: 'equation (1)', dashed: true, points: rows.map(({ count, equation }) => ({ x: count, y: equation.mean / S })) },
        { name: 'paper', dashed: true, points: PAPER_POINTS }
      ]
    }],
    notes: ['Tc + Ts is the time of the bids here: there is no master that computes a distribution.']
  }
}

/** How many times as long the larger batch of each seed took. */
function growth (small: PointRuns, large: PointRuns): Summary {
  return bySeed(small, large, (a, b) => (b['makespanMs'] ?? NaN) / (a['makespanMs'] ?? NaN))
}
