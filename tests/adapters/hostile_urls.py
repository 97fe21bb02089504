"""URLs that are not on fal's CDN, however similar they look."""

listed = str.split
LOCAL = listed("""
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 017700000001 0 0.0.0.0
localhost localhost.localdomain 127.0.0.1. 127.000.000.001 [::1] [::] [0:0:0:0:0:0:0:1]
[::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] [fe80::1%25lo]
169.254.169.254 [fd00:ec2::254] [::ffff:169.254.169.254] 2852039166 169.254.170.2
metadata.google.internal 10.0.0.1 192.168.0.1 172.16.0.1 100.64.0.1 224.0.0.1 255.255.255.255
\u2460\u2461\u2466.0.0.1 127\u30020\u30020\u30021
""")
NAMES = listed("""
evil.example evilfal.media fal.media.evil.example fal.media. v3.fal.media. fal-media fal.medi
al.media fal.media.co xn--fal-media.example media .media fal..media.example f\u0430l.media
\uff46al.media fal\u3002media fal\uff0emedia fa\u2113.media fal.m\u00e9dia fal.media\u200b
fal\u00ad.media \u202efal.media fal.media%00.evil.example fal.media%2eevil.example
evil.example%2f.fal.media evil.example%23.fal.media evil.example%5c.fal.media fal.media%20
%66al.media storage.googleapis.com queue.fal.run rest.fal.ai fal.run fal.ai api.fal.ai
evil.example;.fal.media evil.example,fal.media evil.example'.fal.media fal_media *.fal.media
fal.media* $fal.media !fal.media fal.media|evil.example [fal.media
""")
PORTS = listed("""
fal.media:80 fal.media:8443 fal.media:0 fal.media:1 v3.fal.media:22 fal.media:443443
fal.media:99999 fal.media:-1 fal.media:port fal.media:+443 fal.media:0443 fal.media:4_43
fal.media:\u0664\u0664\u0663 127.0.0.1:443 127.0.0.1:8444 127.0.0.1:9001 x.127.0.0.1:8443
localhost:8443 127.0.0.1:08443 0x7f.1:8443 2130706433:8443 [::1]:8443 [::ffff:127.0.0.1]:8443
""")
USERS = listed(r"""
user@fal.media user:password@fal.media @fal.media :@fal.media fal.media@fal.media
fal.media@evil.example fal.media:443@evil.example fal.media%40evil.example
evil.example@fal.media@evil.example fal.media\@evil.example evil.example\@fal.media
evil.example\.fal.media fal.media%5c@evil.example evil.example#@fal.media evil.example?@fal.media
fal.media&@evil.example fal.media:@evil.example
""")
WHOLE = listed(r"""
https:// https:///x https:/fal.media/x https:fal.media/x https:\\fal.media\x //fal.media/x
fal.media/x /x x ://fal.media/x https//fal.media/x http://fal.media/x http://127.0.0.1:8443/x
HTTP://fal.media/x httpsx://fal.media/x ftp://fal.media/x ws://fal.media/x wss://fal.media/x
gopher://fal.media/x file:///proc/self/environ file://fal.media/etc/passwd data:,x s3://models/x
javascript:fetch('https://fal.media') jar:https://fal.media/x!/ unix:///var/run/x.sock
http://127.0.0.1:9001/2018-06-01/runtime/invocation/next http://169.254.170.2/v2/x
http://169.254.169.254/latest/meta-data/iam/security-credentials/ netdoc:///etc/passwd
https://evil.example/https://fal.media/x https://evil.example?.fal.media
https://evil.example#.fal.media https://evil.example/.fal.media https://evil.example\fal.media
""")
PRIVATE = listed("""
127.0.0.1 10.1.2.3 172.31.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.251
255.255.255.255 198.18.0.1 192.0.2.1 ::1 :: fe80::1 fe80::1%eth0 fd00:ec2::254 ff02::1
::ffff:127.0.0.1 ::7f00:1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:808:808::
2001:0:808:808:: 2001:db8::1 x
""")
ODD = (
    *("", " https://fal.media/x", "https://fal.media /x", "https://fal.media: 443/x"),
    *(
        "https://fal.media\r\nHost: evil.example/x",
        "https://fal.media\n/x",
        "https://fal.media\t/x",
    ),
    *("https://fal.media/x\x00", "\x00https://fal.media/x", "https://fal.media/x\r\nX: y"),
    *("https://fal.media/\u00e9", "https://fal.media/\ud800", "x" * 70_000),
)
HOSTILE = (
    *(f"https://{host}/x" for host in (*LOCAL, *NAMES, *PORTS, *USERS)),
    *WHOLE,
    *ODD,
)
