complete -c echo-ping -s c -l count -d 'Send this many messages in all, 1 to 4000000000. Without it, it goes on until it is interrupted, or has sent so many.' -r
complete -c echo-ping -s i -l interval -d 'Send on each connection once in this time, whether or not the answers come back, 1ms to 1d.' -r
complete -c echo-ping -s s -l size -d 'Send messages of this size, 0 (in datagrams only) to 16M. From 28 bytes on they have room for a sequence number and a checksum.' -r
complete -c echo-ping -l size-sweep -d 'Send messages of every size from MIN to MAX, one after the other, and begin again.' -r
complete -c echo-ping -s W -l timeout -d 'Give an answer up that has not come after this time, 1ms to 1d. As long as parts of it come, it is waited for. A connection must be made within it, too.' -r
complete -c echo-ping -s w -l duration -d 'Send no more after this time, 1ms to 365d.' -r
complete -c echo-ping -l rate -d 'Send this many messages a second over all connections in turn, 1 to 1000000, whatever comes back (an open loop). What waits for a slow server counts from when it was due.' -r
complete -c echo-ping -l connections -d 'Use this many connections at once, 1 to 65536.' -r
complete -c echo-ping -l protocol -d 'What the server speaks: rfc862 (all comes back as it is), reply (with a suffix) or line (with a suffix before each line end).' -r -f -a "reply\t''
line\t''
rfc862\t''"
complete -c echo-ping -l suffix -d 'The server\'s suffix in reply and line.' -r
complete -c echo-ping -l exit-word -d 'The server\'s exit word in reply and line: no message begins with it.' -r
complete -c echo-ping -l message-max -d 'What the server reads at most at once in reply. Longer messages, and those longer than a segment, may come back with a suffix at any cut.' -r
complete -c echo-ping -l source -d 'Talk from this address, with or without a port.' -r
complete -c echo-ping -l loss-max -d 'Take so much loss for none, 0 to 100 per cent.' -r
complete -c echo-ping -s f -l flood -d 'Send the next message as soon as the answer is there (a closed loop).'
complete -c echo-ping -l half-close -d 'Let an end of file follow the last message at once. A server must answer all the same.'
complete -c echo-ping -s 4 -l ipv4 -d 'Use IPv4 only.'
complete -c echo-ping -s 6 -l ipv6 -d 'Use IPv6 only.'
complete -c echo-ping -l json -d 'Write one JSON object a line; the last one is the summary.'
complete -c echo-ping -s q -l quiet -d 'Write the summary only.'
complete -c echo-ping -l histogram -d 'Draw how the round trips are spread.'
complete -c echo-ping -s h -l help -d 'Print this text.'
complete -c echo-ping -s V -l version -d 'Print the version.'
