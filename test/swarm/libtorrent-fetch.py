"""Fetches by libtorrent what a .torrent file names, with no other way to find peers than its trackers: TORRENT DIRECTORY."""
import sys, time
import libtorrent as lt

torrent, directory = sys.argv[1:]
session = lt.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False, 'allow_multiple_connections_per_ip': True})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
handle = session.add_torrent(params)
while not handle.status().is_seeding:
    time.sleep(0.05)
