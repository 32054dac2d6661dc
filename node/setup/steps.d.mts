/** A step of set-up under way; see steps.mjs. */
export interface Step {
  /** A share in [0, 1], or a text. */
  set (now: number | string): void
  done (text?: string): void
  failed (): void
}
/** Starts a step and shows it on stderr. */
export declare function step (title: string): Step
