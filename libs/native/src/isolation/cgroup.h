// The few files of cgroup v2 that workers read and write. Groups are named by their path below `root`, the mount point
// of the hierarchy. Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <optional>
#include <string>

namespace interleave {

inline constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

// The version 2 group of a process; nothing where it is gone or the hierarchy is not there.
std::optional<std::string> CgroupOf(pid_t pid);

// The group within which the CPU is shared out to the members of `group`: itself or the nearest one above that the CPU
// controller knows. Empty: the whole machine.
std::string CpuGroupOf(const std::string& root, const std::string& group);

// Puts the calling process into a group `name` beside its own one, with a limit of `bytes` (swap counts as none). Empty
// on success, else why that is not possible; then nothing has changed but perhaps an empty group.
std::string JoinMemoryGroup(const std::string& root, const std::string& ownGroup, const std::string& name,
                            std::int64_t bytes);

// Gives the group of a process up to everything else that wants the CPU (cpu.idle). Only where the group has no other
// process than `pid`. Empty on success, else why not.
std::string MakeGroupIdle(const std::string& root, const std::string& group, pid_t pid);

}  // namespace interleave
