"""One host of the swarm benchmark by libtorrent: DIR TORRENT OWN-ADDRESS PEER-ADDRESS... ; the first to start has the pack. Says `ready`, waits for a line, then `took MS BYTES-SENT`."""
import sys, time
import libtorrent as lt

directory, torrent, own, *peers = sys.argv[1:]
session = lt.session({
    'listen_interfaces': f'{own}:6881', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
    'allow_multiple_connections_per_ip': True, 'unchoke_slots_limit': 16, 'connection_speed': 100, 'mixed_mode_algorithm': 0,
    'in_enc_policy': 2, 'out_enc_policy': 2, 'enable_outgoing_utp': False, 'enable_incoming_utp': False
})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
handle = session.add_torrent(params)
while handle.status().state in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data):
    time.sleep(0.05)
print('ready', flush=True)
sys.stdin.readline()
began = time.monotonic()
for peer in peers:
    handle.connect_peer((peer, 6881))
while not handle.status().is_seeding:
    time.sleep(0.01)
print('took', (time.monotonic() - began) * 1000, flush=True)
sys.stdin.readline()
print('sent', handle.status().total_payload_upload, flush=True)
