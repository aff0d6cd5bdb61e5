package parsers

// evtxMeanings says what events of Windows and its components mean: after the
// provider's name, a line has the event numbers, action and category and
// outcome, a title, and column=value pairs, of which a later one goes before
// an earlier one of the same column. Sources: the providers' manifests as
// Microsoft documents them ("Appendix L: Events to Monitor", the pages of each
// security audit event, Sysmon's manual) and the events themselves.
const evtxMeanings = `
# Microsoft-Windows-Security-Auditing
4608 | boot host | Windows started |
4609 | shutdown host | Windows shut down |
4616 | time-changed host | system time changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=ProcessId exe=ProcessName
4624 | user-login authentication success | account logged on | user=TargetUserName sid=TargetUserSid session=TargetLogonId src_ip=IpAddress src_port=IpPort pid=ProcessId exe=ProcessName
4625 | user-login authentication failure | logon failed | user=TargetUserName sid=TargetUserSid src_ip=IpAddress src_port=IpPort pid=ProcessId exe=ProcessName
4634 4647 | user-logout session | account logged off | user=TargetUserName sid=TargetUserSid session=TargetLogonId
4648 | explicit-credentials authentication | logon tried with explicit credentials | user=TargetUserName session=SubjectLogonId src_ip=IpAddress src_port=IpPort pid=ProcessId exe=ProcessName domain=TargetServerName
4649 | replay-attack authentication failure | replay attack detected | user=TargetUserName pid=ProcessId exe=ProcessName
4656 4658 4659 4660 4661 4663 | object-access file | access to an object | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=ProcessId exe=ProcessName file=ObjectName
4657 | registry-value-set registry | registry value changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=ProcessId exe=ProcessName reg_key=ObjectName
4662 | directory-object-access iam | operation on a directory object | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId file=ObjectName
4670 | permissions-changed file | permissions of an object changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=ProcessId exe=ProcessName file=ObjectName
4672 | special-privileges iam | special privileges given to a new logon | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4673 4674 | privilege-used iam | privilege used | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=ProcessId exe=ProcessName file=ObjectName
4688 | process-started process | process started | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=NewProcessId ppid=ProcessId exe=NewProcessName cmdline=CommandLine parent_exe=ParentProcessName
4689 | process-ended process | process ended | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=ProcessId exe=ProcessName
4696 | token-assigned process | primary token assigned to a process | user=TargetUserName sid=TargetUserSid session=TargetLogonId pid=TargetProcessId exe=TargetProcessName
4697 | service-installed configuration | service installed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId unit=ServiceName cmdline=ServiceFileName
4698 | task-created configuration | scheduled task created | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId unit=TaskName
4699 | task-deleted configuration | scheduled task deleted | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId unit=TaskName
4700 | task-enabled configuration | scheduled task enabled | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId unit=TaskName
4701 | task-disabled configuration | scheduled task disabled | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId unit=TaskName
4702 | task-changed configuration | scheduled task changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId unit=TaskName
4703 | privileges-adjusted iam | privileges of a token adjusted | user=TargetUserName sid=TargetUserSid session=TargetLogonId pid=ProcessId exe=ProcessName
4704 4705 4717 4718 | account-rights-changed iam | rights of an account changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4719 | audit-policy-changed configuration | audit policy changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4720 | account-created iam success | account created | user=TargetUserName sid=TargetSid session=SubjectLogonId
4722 | account-enabled iam success | account enabled | user=TargetUserName sid=TargetSid session=SubjectLogonId
4723 | password-changed iam | password change tried | user=TargetUserName sid=TargetSid session=SubjectLogonId
4724 | password-reset iam | password reset tried | user=TargetUserName sid=TargetSid session=SubjectLogonId
4725 | account-disabled iam success | account disabled | user=TargetUserName sid=TargetSid session=SubjectLogonId
4726 | account-deleted iam success | account deleted | user=TargetUserName sid=TargetSid session=SubjectLogonId
4727 4731 4754 | group-created iam success | group created | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4728 4732 4756 4746 4751 4761 | group-member-added iam success | member added to a group | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4729 4733 4757 | group-member-removed iam success | member removed from a group | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4730 4734 4758 | group-deleted iam success | group deleted | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4735 4737 4755 4764 | group-changed iam success | group changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
4738 4742 | account-changed iam success | account changed | user=TargetUserName sid=TargetSid session=SubjectLogonId
4740 | account-locked iam | account locked out | user=TargetUserName sid=TargetSid
4741 | account-created iam success | computer account created | user=TargetUserName sid=TargetSid session=SubjectLogonId
4743 | account-deleted iam success | computer account deleted | user=TargetUserName sid=TargetSid session=SubjectLogonId
4767 | account-unlocked iam success | account unlocked | user=TargetUserName sid=TargetSid session=SubjectLogonId
4768 | kerberos-ticket authentication | Kerberos ticket-granting ticket requested | user=TargetUserName sid=TargetSid src_ip=IpAddress src_port=IpPort
4769 | kerberos-service-ticket authentication | Kerberos service ticket requested | user=TargetUserName src_ip=IpAddress src_port=IpPort unit=ServiceName
4770 | kerberos-ticket-renewed authentication | Kerberos service ticket renewed | user=TargetUserName src_ip=IpAddress src_port=IpPort unit=ServiceName
4771 | kerberos-preauthentication authentication failure | Kerberos pre-authentication failed | user=TargetUserName sid=TargetSid src_ip=IpAddress src_port=IpPort
4772 4773 | kerberos-ticket authentication failure | Kerberos ticket request failed | user=TargetUserName src_ip=IpAddress src_port=IpPort
4776 | credentials-checked authentication | credentials checked by NTLM | user=TargetUserName
4778 | session-reconnected session | session reconnected | user=AccountName session=LogonID src_ip=ClientAddress
4779 | session-disconnected session | session disconnected | user=AccountName session=LogonID src_ip=ClientAddress
4781 | account-renamed iam success | account renamed | user=NewTargetUserName sid=TargetSid session=SubjectLogonId
4798 4799 | group-membership-listed iam | group membership listed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId pid=CallerProcessId exe=CallerProcessName
4800 | workstation-locked session | workstation locked | user=TargetUserName sid=TargetUserSid session=TargetLogonId
4801 | workstation-unlocked session | workstation unlocked | user=TargetUserName sid=TargetUserSid session=TargetLogonId
4825 | user-login authentication failure | remote desktop access denied | user=AccountName src_ip=ClientAddress
4826 | boot-configuration host | boot configuration loaded | user=SubjectUserName sid=SubjectUserSid
4946 4947 4948 | firewall-rule-changed configuration | firewall rule changed |
4964 | special-group-login authentication success | special groups assigned to a new logon | user=TargetUserName sid=TargetUserSid session=TargetLogonId
5136 | directory-object-changed iam success | directory object changed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId file=ObjectDN
5137 | directory-object-created iam success | directory object created | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId file=ObjectDN
5138 5139 5141 | directory-object-changed iam success | directory object restored, moved or deleted | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId file=ObjectDN
5140 | share-accessed network | network share accessed | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId src_ip=IpAddress src_port=IpPort file=ShareName
5142 5143 5144 | share-changed configuration | network share added, changed or deleted | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId file=ShareName
5145 | share-file-checked network | access to a file on a share checked | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId src_ip=IpAddress src_port=IpPort file=RelativeTargetName file2=ShareName
5154 5155 5158 5159 | socket-bound network | listening or binding checked by the filtering platform | pid=ProcessId exe=Application src_ip=SourceAddress src_port=SourcePort
5156 | connection-allowed network success | connection allowed by the filtering platform | pid=ProcessID exe=Application src_ip=SourceAddress src_port=SourcePort dst_ip=DestAddress dst_port=DestPort
5152 5157 | connection-blocked network failure | connection blocked by the filtering platform | pid=ProcessID pid=ProcessId exe=Application src_ip=SourceAddress src_port=SourcePort dst_ip=DestAddress dst_port=DestPort
6416 | device-attached driver | external device recognised | user=SubjectUserName sid=SubjectUserSid

# Microsoft-Windows-Eventlog
1100 | log-stopped host | event logging stopped |
1102 | log-cleared host | security log cleared | user=SubjectUserName sid=SubjectUserSid session=SubjectLogonId
1104 | log-full host | security log full |
104 | log-cleared host | event log cleared | user=SubjectUserName file=BackupPath

# EventLog
6005 | boot host | event log service started |
6006 | shutdown host | event log service stopped |
6008 | unexpected-shutdown host | the shutdown before was unexpected |

# Service Control Manager
7045 | service-installed configuration | service installed | unit=ServiceName cmdline=ImagePath
7034 7031 | service-failed host failure | service ended unexpectedly | unit=param1
7035 | service-control host | control sent to a service | unit=param1
7036 | service-state host | service changed state | unit=param1
7040 | service-changed configuration | start type of a service changed | unit=param4
7000 7009 7022 7023 7024 | service-failed host failure | service failed | unit=param1

# Microsoft-Windows-Kernel-General
1 | time-changed host | system time changed |
12 | boot host | operating system started |
13 | shutdown host | operating system shuts down |

# User32
1074 | shutdown host | shutdown or restart asked for | user=param7 exe=param1

# Microsoft-Windows-Kernel-Power
41 | unexpected-shutdown host | restarted without a clean shutdown |

# Microsoft-Windows-TaskScheduler
106 | task-created configuration | scheduled task registered | unit=TaskName user=UserContext
140 | task-changed configuration | scheduled task changed | unit=TaskName user=UserName
141 | task-deleted configuration | scheduled task deleted | unit=TaskName user=UserName
142 | task-disabled configuration | scheduled task disabled | unit=TaskName user=UserName
129 | process-started process | scheduled task started a process | unit=TaskName pid=ProcessID exe=Path
100 | task-started process | scheduled task started | unit=TaskName user=UserContext
102 | task-ended process success | scheduled task ended | unit=TaskName user=UserContext
103 | task-ended process failure | action of a scheduled task failed | unit=TaskName user=UserName
200 | task-action-started process | action of a scheduled task started | unit=TaskName exe=ActionName
201 | task-action-ended process | action of a scheduled task ended | unit=TaskName exe=ActionName

# Microsoft-Windows-PowerShell
4103 | powershell-pipeline process | PowerShell pipeline |
4104 | powershell-script process | PowerShell script block | file=Path cmdline=ScriptBlockText
4105 | powershell-script-started process | PowerShell script block started |
4106 | powershell-script-ended process | PowerShell script block ended |
40961 40962 | powershell-console process | PowerShell console |
53504 | powershell-pipe process | PowerShell process listens on a pipe | pid=param1

# PowerShell
400 | powershell-started process | PowerShell engine started |
403 | powershell-ended process | PowerShell engine stopped |
600 | powershell-provider process | PowerShell provider started |
800 | powershell-pipeline process | PowerShell pipeline |

# Microsoft-Windows-Windows Defender
1006 1015 1116 | malware-detected malware | malware detected | file=Path exe=Process_Name
1007 1117 | malware-handled malware | action against malware | file=Path exe=Process_Name
1008 1118 1119 | malware-handled malware failure | action against malware failed | file=Path exe=Process_Name
1013 | malware-history-deleted malware | malware history deleted |
1121 1122 | attack-surface-rule intrusion_detection | attack surface reduction rule fired | file=Path
5001 5010 5012 | protection-disabled configuration | protection disabled |
5004 5007 | protection-changed configuration | protection settings changed |
5013 | tamper-blocked configuration | change of protection settings blocked |

# Microsoft-Windows-TerminalServices-LocalSessionManager
21 | user-login authentication success | remote desktop session logged on | user=User session=SessionID src_ip=Address
22 | session-shell session | remote desktop shell started | user=User session=SessionID src_ip=Address
23 | user-logout session | remote desktop session logged off | user=User session=SessionID
24 | session-disconnected session | remote desktop session disconnected | user=User session=SessionID src_ip=Address
25 | session-reconnected session | remote desktop session reconnected | user=User session=SessionID src_ip=Address
39 40 | session-disconnected session | remote desktop session disconnected | session=Session

# Microsoft-Windows-TerminalServices-RemoteConnectionManager
1149 | rdp-authenticated authentication success | remote desktop connection authenticated | user=Param1 src_ip=Param3
261 | rdp-connection network | remote desktop listener got a connection |

# Microsoft-Windows-RemoteDesktopServices-RdpCoreTS
131 | rdp-connection network | remote desktop connection accepted | src_ip=ClientIP
139 140 | rdp-connection network failure | remote desktop connection failed | src_ip=IPString

# Microsoft-Windows-TerminalServices-ClientActiveXCore
1024 | rdp-connect network | remote desktop client connects | domain=Value
1102 | rdp-connect network | remote desktop client connects | dst_ip=Value

# Microsoft-Windows-Sysmon
1 | process-started process | process started | user=User proc_guid=ProcessGuid pid=ProcessId ppid=ParentProcessId exe=Image cmdline=CommandLine cwd=CurrentDirectory session=LogonId parent_exe=ParentImage parent_cmdline=ParentCommandLine sha256=Hashes
2 | file-time-changed file | creation time of a file changed | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=TargetFilename
3 | connection network | network connection | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image src_ip=SourceIp src_port=SourcePort dst_ip=DestinationIp dst_port=DestinationPort domain=DestinationHostname
4 | sysmon-state host | Sysmon changed state |
5 | process-ended process | process ended | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image
6 | driver-loaded driver | driver loaded | file=ImageLoaded sha256=Hashes
7 | library-loaded process | library loaded | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=ImageLoaded sha256=Hashes
8 | remote-thread process | thread created in another process | user=SourceUser proc_guid=SourceProcessGuid pid=SourceProcessId exe=SourceImage file=TargetImage
9 | raw-disk-read file | raw access to a volume | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=Device
10 | process-accessed process | process opened by another | user=SourceUser proc_guid=SourceProcessGUID proc_guid=SourceProcessGuid pid=SourceProcessId exe=SourceImage file=TargetImage
11 | file-created file | file created | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=TargetFilename
12 | registry-key-changed registry | registry key created or deleted | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image reg_key=TargetObject
13 | registry-value-set registry | registry value set | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image reg_key=TargetObject
14 | registry-renamed registry | registry key or value renamed | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image reg_key=TargetObject
15 | stream-created file | alternate data stream created | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=TargetFilename sha256=Hash
16 | sysmon-configured configuration | Sysmon configuration changed | file=Configuration
17 | pipe-created file | named pipe created | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=PipeName
18 | pipe-connected file | named pipe connected | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=PipeName
19 | wmi-filter configuration | WMI filter registered | user=User
20 | wmi-consumer configuration | WMI consumer registered | user=User cmdline=Destination
21 | wmi-binding configuration | WMI consumer bound to a filter | user=User
22 | dns-query network | DNS query | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image domain=QueryName
23 26 | file-deleted file | file deleted | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=TargetFilename sha256=Hashes
24 | clipboard-changed host | clipboard changed | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image sha256=Hashes
25 | process-tampered process | image of a process changed | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image
27 28 | file-blocked file failure | executable or shredding blocked | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=TargetFilename sha256=Hashes
29 | file-created file | executable file created | user=User proc_guid=ProcessGuid pid=ProcessId exe=Image file=TargetFilename sha256=Hashes
255 | sysmon-error host failure | error of Sysmon |

# Microsoft-Windows-WMI-Activity
5857 | wmi-provider-started process | WMI provider started | pid=ProcessID file=ProviderPath
5858 | wmi-operation process failure | WMI operation failed | user=User pid=ClientProcessId
5859 5860 5861 | wmi-subscription configuration | WMI event subscription | user=User pid=processid

# Microsoft-Windows-Bits-Client
3 | bits-job-created network | BITS job created | user=string2 exe=processPath pid=processId unit=string
59 60 61 | bits-transfer network | BITS transfer | url=url unit=name

# Microsoft-Windows-WinRM
6 | winrm-connect network | WinRM session opened to another host | domain=connection
91 | winrm-session network | WinRM shell created by another host |

# Microsoft-Windows-Windows Firewall With Advanced Security
2004 2071 2097 | firewall-rule-added configuration | firewall rule added | exe=ModifyingApplication file=ApplicationPath
2005 2073 2099 | firewall-rule-changed configuration | firewall rule changed | exe=ModifyingApplication file=ApplicationPath
2006 2052 2033 2059 | firewall-rule-deleted configuration | firewall rule deleted | exe=ModifyingApplication

# Microsoft-Windows-AppLocker
8003 8006 8021 | execution-audited process | execution would be blocked by AppLocker | user=TargetUser file=FilePath
8004 8007 8022 | execution-blocked process failure | execution blocked by AppLocker | user=TargetUser file=FilePath

# Microsoft-Windows-DNS-Client
3006 3008 3018 3020 | dns-query network | DNS query | domain=QueryName

# MsiInstaller
1033 11707 | package-installed package success | package installed |
1034 11724 | package-removed package success | package removed |

# Microsoft-Windows-PrintService
307 | document-printed file | document printed | user=Param3 file=Param2
316 | printer-driver configuration | printer driver added or updated |
808 | printer-plugin configuration failure | print plug-in could not be loaded | file=PluginDllName

# OpenSSH
4 | sshd-message authentication | message of sshd |
`
