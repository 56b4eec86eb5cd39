// What a worker reports about one means of keeping the lanes apart.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

namespace interleave {

enum class ToolState : std::uint8_t { kActive, kUnavailable, kOff };

struct IsolationTool {
  std::string tool;  // one of IsolationTool.tool in libs/contracts
  ToolState state = ToolState::kOff;
  std::string reason;  // why unavailable; may say why off, or by what means active
};

inline IsolationTool Active(const char* tool, std::string how = "") {
  return {tool, ToolState::kActive, std::move(how)};
}
inline IsolationTool Off(const char* tool, std::string why = "") { return {tool, ToolState::kOff, std::move(why)}; }
inline IsolationTool Unavailable(const char* tool, std::string why) {
  return {tool, ToolState::kUnavailable, std::move(why)};
}
inline std::string ErrnoText() { return std::strerror(errno); }

}  // namespace interleave
