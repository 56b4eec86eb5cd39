#include "isolation/cgroup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace interleave {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool HasWord(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string each; words >> each;) {
    if (each == word) return true;
  }
  return false;
}

// Empty on success.
std::string WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file ? "" : path + ": " + std::strerror(errno);
}

std::string ParentOf(const std::string& group) { return group.substr(0, group.find_last_of('/')); }

}  // namespace

std::optional<std::string> CgroupOf(pid_t pid) {
  std::istringstream lines(ReadText("/proc/" + std::to_string(pid) + "/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::/")) return line.substr(3) == "/" ? "" : line.substr(3);
  }
  return std::nullopt;
}

std::string CpuGroupOf(const std::string& root, const std::string& group) {
  std::string nearest = group;
  while (!nearest.empty() && access((root + nearest + "/cpu.weight").c_str(), F_OK) != 0) nearest = ParentOf(nearest);
  return nearest;
}

std::string JoinMemoryGroup(const std::string& root, const std::string& ownGroup, const std::string& name,
                            std::int64_t bytes) {
  if (ownGroup.empty()) return "the process is in the root group of cgroup v2";
  const std::string parent = root + ParentOf(ownGroup);
  const std::string controllers = ReadText(parent + "/cgroup.subtree_control");
  if (!HasWord(controllers, "memory")) return parent + " delegates no memory controller";
  // A group of its own would void the priorities between the lanes.
  if (HasWord(controllers, "cpu")) return parent + " would group CPU time as well";
  const std::string group = parent + "/" + name;
  if (mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) return group + ": " + std::strerror(errno);
  std::string error = WriteText(group + "/memory.max", std::to_string(bytes));
  if (!error.empty()) return error;
  if (access((group + "/memory.swap.max").c_str(), F_OK) == 0) error = WriteText(group + "/memory.swap.max", "0");
  return error.empty() ? WriteText(group + "/cgroup.procs", "0") : error;
}

std::string MakeGroupIdle(const std::string& root, const std::string& group, pid_t pid) {
  const std::string folder = root + group;
  std::istringstream members(ReadText(folder + "/cgroup.procs"));
  bool isMember = false;
  for (pid_t member = 0; members >> member;) {
    if (member != pid) return folder + " has other processes too";
    isMember = true;
  }
  if (!isMember) return folder + " has groups below it";
  if (access((folder + "/cpu.idle").c_str(), F_OK) != 0) return folder + " has no cpu.idle (Linux 5.15)";
  return WriteText(folder + "/cpu.idle", "1");
}

}  // namespace interleave
