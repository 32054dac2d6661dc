/** What webtorrent's WebRTC transport imports; undefined says that there is no WebRTC. */
export const RTCPeerConnection = undefined
export const RTCSessionDescription = undefined
export const RTCIceCandidate = undefined
