/** See wrapper.mjs. */
export declare function runProgram (root: string, args: string[]): void
/** See wrapper.mjs. */
export declare function wrapperText (): string
