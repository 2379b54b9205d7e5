complete -c echod -l listen-stream -d 'Listen on a stream socket, besides those that the service manager passes in; can be repeated. With no socket at all, echod listens on 127.0.0.1:8080 and [::1]:8080.' -r
complete -c echod -l listen-datagram -d 'Listen on a datagram socket; can be repeated.' -r
complete -c echod -l listen-sequential-packet -d 'Listen on a Unix socket for sequential packets; can be repeated.' -r
complete -c echod -l backlog -d 'Let this many connections wait to be accepted on sockets that echod binds, 1 to 65535. The kernel cuts it down to net.core.somaxconn.' -r
complete -c echod -l mptcp -d 'Offer Multipath TCP on stream sockets that echod binds, where the kernel has it.' -r -f -a "yes\t''
no\t''"
complete -c echod -l protocol -d 'What a socket speaks whose name or address does not say: reply, line or rfc862.' -r -f -a "reply\t''
line\t''
rfc862\t''"
complete -c echod -l suffix -d 'What reply and line put behind each message, at most 256 bytes.' -r
complete -c echod -l exit-word -d 'What ends a conversation in reply and line, at most 255 bytes without line ends. If it is empty, nothing does.' -r
complete -c echod -l message-max -d 'Read at most this much as one message in reply, 1 to 64K.' -r
complete -c echod -l connections-max -d 'Hold at most this many conversations at once, 1 to 65536; others wait to be accepted. It is lowered at start to what the limit of open files allows.' -r
complete -c echod -l connections-per-source-max -d 'Hold at most this many conversations at once with one source, 1 to 65536 or off; others are refused. A source is an IPv4 address or an IPv6 /64. Set it when open to strangers.' -r
complete -c echod -l datagram-rate -d 'Answer at most this many UDP datagrams of one source, 1/s to 1000000/s or off.' -r
complete -c echod -l refuse-source-ports -d 'Do not answer UDP datagrams from these ports either: numbers from 1 to 65535 with commas or blanks, or nothing. Those below 1024 never get an answer.' -r
complete -c echod -l idle-timeout -d 'End a conversation when nothing was heard for this long, 1ms to 365d or off.' -r
complete -c echod -l lifetime-max -d 'End a conversation this long after it began, 1ms to 365d or off.' -r
complete -c echod -l stall-timeout -d 'Reset a conversation whose peer has not taken a whole answer within this time, 1s to 1d.' -r
complete -c echod -l drain-timeout -d 'Give conversations this long to end when echod leaves and the service manager does not keep them, 0 to 1h.' -r
complete -c echod -l log-level -d 'Record nothing less important than this: error, warning, info (also conversations) or debug (also each message).' -r -f -a "error\t''
warning\t''
info\t''
debug\t''"
complete -c echod -l record-rate -d 'Record the begin and end of conversations at most this often, up to 1000000/s; 0 is never. Those left out are summed up once a minute.' -r
complete -c echod -s h -l help -d 'Print this text.'
complete -c echod -s V -l version -d 'Print the version.'
