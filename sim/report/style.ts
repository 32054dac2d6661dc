/** The style of reports: readable on paper and on a dark screen. */
export const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --warn: #b45309; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); } h3 { font-size: 1rem; margin: 0 0 .3rem; }
table { border-collapse: collapse; font-size: .85rem; } th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { background: var(--soft); } tbody th { font-weight: normal; } .wide { overflow-x: auto; }
figure { margin: 1.2rem 0; } figcaption, .made { color: GrayText; font-size: .85rem; } .warn { color: var(--warn); font-weight: bold; }
svg { max-width: 100%; height: auto; } pre { overflow: auto; max-height: 30rem; font-size: .75rem; background: var(--soft); padding: .8rem; }
`
