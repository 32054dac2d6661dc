/**
 * Bounds of the language. Expressions come from strangers: whatever they hold, reading and evaluating them ends soon and small.
 */

/** Longest expression that is read, in UTF-16 units: some 500 clauses of an order's requirements. */
export const EXPRESSION_CHARS_MAX = 65_536

/** Longest ad that is read: a machine's ad with long outputs still fits. */
export const AD_CHARS_MAX = 262_144

/** Longest attribute or function name. */
export const NAME_CHARS_MAX = 256

/** Deepest nesting of brackets, unary operators and branches; each level costs the parser some six stack frames. */
export const NESTING_MAX = 128

/** Greatest height of a syntax tree: a chain of operators as long as this is read, a longer one is refused. */
export const HEIGHT_MAX = 256

/** Deepest evaluation, attribute references included. Above HEIGHT_MAX, so that every expression that is read can be evaluated. */
export const DEPTH_MAX = 400

/** Steps of one evaluation: one for each node visited, more for long strings and patterns. Spent in well under 100 ms. */
export const STEPS_MAX = 50_000

/** Longest string that an evaluation may make, in UTF-16 units. */
export const STRING_CHARS_MAX = 65_536

/** Most items of a list that a function makes. */
export const LIST_ITEMS_MAX = 16_384

/** Characters that a string operation handles for one step. */
export const CHARS_PER_STEP = 32

/** Longest pattern of a regular expression. */
export const PATTERN_CHARS_MAX = 1_000

/** Largest compiled program of a pattern (RE2 instructions); matching costs program times text. */
export const PATTERN_PROGRAM_MAX = 4_000

/** Product of program and text that one step of matching stands for. */
export const PATTERN_WORK_PER_STEP = 256

/** What compiling a pattern costs, in steps, and for each instruction of its program: measured, some 15 ms for the largest allowed. */
export const PATTERN_STEPS = 1_000
export const PATTERN_INSTRUCTION_STEPS = 10

/** Most clauses that an explanation lists. */
export const CLAUSES_MAX = 100
/** Ways to mend a clause that are told, and changes of one: more than anybody reads. */
export const MENDS_MAX = 8
export const MEND_CHANGES_MAX = 8

/** Longest text of a clause in an explanation; the rest is cut. */
export const CLAUSE_CHARS_MAX = 400
