package collectors

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// maxKeys bounds the keys read below one.
const maxKeys = 100_000

const readKey = registry.QUERY_VALUE | registry.ENUMERATE_SUB_KEYS | registry.WOW64_64KEY

// subKeys opens each key below one.
func subKeys(path string, each func(name string, key registry.Key, err error)) error {
	top, err := registry.OpenKey(registry.LOCAL_MACHINE, path, readKey)
	if err != nil {
		return err
	}
	defer top.Close()
	names, err := top.ReadSubKeyNames(maxKeys)
	for _, name := range names {
		key, err := registry.OpenKey(top, name, readKey)
		each(name, key, err)
		if err == nil {
			key.Close()
		}
	}
	if err != nil && len(names) < maxKeys { // io.EOF says that these were all
		return nil
	}
	return err
}

func text(key registry.Key, name string) record.Bytes {
	s, _, err := key.GetStringValue(name)
	if err != nil {
		return nil // most values are not there
	}
	return record.Bytes(s)
}

func number(key registry.Key, name string) uint64 {
	n, _, err := key.GetIntegerValue(name)
	if err != nil {
		return 0
	}
	return n
}

func collectWindowsServices(ctx context.Context, _ *collect.Host, out collect.Taker) error {
	set, n := newSets(record.WindowsServices), 0
	const place = `SYSTEM\CurrentControlSet\Services`
	err := subKeys(place, func(name string, key registry.Key, err error) {
		s := record.WindowsService{Name: record.Bytes(name)}
		if err != nil {
			s.Error = err.Error()
			set.put(record.WindowsServices, s)
			return
		}
		if info, err := key.Stat(); err == nil {
			s.Written = info.ModTime().UnixNano()
		}
		s.Display, s.Image, s.Account = text(key, "DisplayName"), text(key, "ImagePath"), text(key, "ObjectName")
		s.Type, s.Start = number(key, "Type"), number(key, "Start")
		if more, err := registry.OpenKey(key, "Parameters", readKey); err == nil {
			s.ServiceDLL = text(more, "ServiceDll")
			more.Close()
		}
		set.put(record.WindowsServices, s)
		n++
	})
	if err != nil {
		err = fmt.Errorf("services: %w", err)
	}
	out.Seen("services", n)
	return errors.Join(err, set.write(ctx, out, "winapi"))
}

func collectWindowsUsers(ctx context.Context, _ *collect.Host, out collect.Taker) error {
	set, n := newSets(record.WindowsProfiles, record.WindowsSessions), 0
	err := subKeys(`SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`, func(name string, key registry.Key, err error) {
		p := record.WindowsProfile{SID: name}
		if err != nil {
			p.Error = err.Error()
		} else {
			p.Path, p.Flags, p.State = text(key, "ProfileImagePath"), number(key, "Flags"), number(key, "State")
		}
		if sid, err := windows.StringToSid(name); err == nil {
			if account, domain, _, err := sid.LookupAccount(""); err == nil {
				p.Account, p.Domain = account, domain
			}
		}
		set.put(record.WindowsProfiles, p)
		n++
	})
	if err != nil {
		err = fmt.Errorf("profiles: %w", err)
	}
	out.Seen("profiles", n)
	n, sessionsErr := sessions(set)
	out.Seen("sessions", n)
	return errors.Join(err, sessionsErr, set.write(ctx, out, "winapi"))
}

// sessionStates are WTS_CONNECTSTATE_CLASS of wtsapi32.h.
var sessionStates = []string{"active", "connected", "connect-query", "shadow", "disconnected", "idle", "listen", "reset", "down", "init"}

var queryInformation = windows.NewLazySystemDLL("wtsapi32.dll").NewProc("WTSQuerySessionInformationW")

// WTS_INFO_CLASS of wtsapi32.h.
const (
	wtsUserName   = 5
	wtsDomainName = 7
	wtsClientName = 10
)

func sessions(set *sets) (int, error) {
	var list *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &list, &count); err != nil {
		return 0, fmt.Errorf("sessions: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(list)))
	for _, info := range unsafe.Slice(list, count) {
		s := record.WindowsSession{Taken: time.Now().UnixNano(), ID: info.SessionID, State: "unknown"}
		if info.WindowStationName != nil {
			s.Station = record.Bytes(windows.UTF16PtrToString(info.WindowStationName))
		}
		if int(info.State) < len(sessionStates) {
			s.State = sessionStates[info.State]
		}
		for _, ask := range []struct {
			class uintptr
			to    *record.Bytes
		}{{wtsUserName, &s.User}, {wtsDomainName, &s.Domain}, {wtsClientName, &s.Client}} {
			got, err := sessionText(info.SessionID, ask.class)
			if err != nil {
				s.Error = err.Error()
			}
			*ask.to = got
		}
		set.put(record.WindowsSessions, s)
	}
	return int(count), nil
}

func sessionText(id uint32, class uintptr) (record.Bytes, error) {
	var text *uint16
	var size uint32
	r, _, err := queryInformation.Call(0, uintptr(id), class, uintptr(unsafe.Pointer(&text)), uintptr(unsafe.Pointer(&size)))
	if r == 0 {
		return nil, err
	}
	if text == nil {
		return nil, nil
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(text)))
	return record.Bytes(windows.UTF16PtrToString(text)), nil
}
