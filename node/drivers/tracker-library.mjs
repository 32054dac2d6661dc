/** bittorrent-tracker's server under a name: the package has no types of its own, and those of what we use are in tracker-library.d.mts. */
export { default as TrackerServer } from 'bittorrent-tracker/server'
