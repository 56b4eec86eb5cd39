// The rules for cgroups, on a folder that has the files of a hierarchy but no kernel behind it.
#include "isolation/cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace interleave {
namespace {

class Cgroup : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "cgroupXXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(root_ + path).rdbuf();
    return text.str();
  }

  std::string root_;
};

TEST_F(Cgroup, OfThisProcessIsTold) {
  std::ifstream file("/proc/self/cgroup");
  std::ostringstream text;
  text << file.rdbuf();
  const bool hasVersion2 = text.str().find("0::/") != std::string::npos;
  EXPECT_EQ(CgroupOf(getpid()).has_value(), hasVersion2);
  EXPECT_FALSE(CgroupOf(0x7fffffff).has_value());
}

TEST_F(Cgroup, CpuIsSharedOutByTheNearestGroupThatTheControllerKnows) {
  Write("/app/cpu.weight", "100\n");
  Write("/app/node/worker/cgroup.procs", "");
  EXPECT_EQ(CpuGroupOf(root_, "/app/node/worker"), "/app");
  EXPECT_EQ(CpuGroupOf(root_, "/other"), "");
}

TEST_F(Cgroup, AWorkerJoinsAGroupBesideItsOwn) {
  Write("/app/cgroup.subtree_control", "memory pids\n");
  Write("/app/main/cgroup.procs", "");
  EXPECT_EQ(JoinMemoryGroup(root_, "/app/main", "w", 1 << 20), "");
  EXPECT_EQ(Read("/app/w/memory.max"), "1048576");
  EXPECT_EQ(Read("/app/w/cgroup.procs"), "0");
}

TEST_F(Cgroup, NoGroupWhereNoneIsDelegatedOrItWouldSeparateTheLanes) {
  Write("/app/cgroup.subtree_control", "pids\n");
  Write("/both/cgroup.subtree_control", "cpu memory\n");
  EXPECT_NE(JoinMemoryGroup(root_, "/app/main", "w", 1 << 20).find("delegates no memory controller"),
            std::string::npos);
  EXPECT_NE(JoinMemoryGroup(root_, "/both/main", "w", 1 << 20).find("would group CPU time"), std::string::npos);
  EXPECT_NE(JoinMemoryGroup(root_, "", "w", 1 << 20).find("root group"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(root_ + "/both/w"));
}

TEST_F(Cgroup, OnlyAGroupOfTheBatchWorkerAloneBecomesIdle) {
  Write("/batch/cpu.idle", "0\n");
  Write("/batch/cgroup.procs", "41\n");
  Write("/old/cgroup.procs", "41\n");
  Write("/mixed/cpu.idle", "0\n");
  Write("/mixed/cgroup.procs", "41\n7\n");
  EXPECT_EQ(MakeGroupIdle(root_, "/batch", 41), "");
  EXPECT_EQ(Read("/batch/cpu.idle"), "1");
  EXPECT_NE(MakeGroupIdle(root_, "/mixed", 41).find("other processes"), std::string::npos);
  EXPECT_EQ(Read("/mixed/cpu.idle"), "0\n");
  Write("/parent/cpu.idle", "0\n");
  Write("/parent/cgroup.procs", "");
  EXPECT_NE(MakeGroupIdle(root_, "/parent", 41).find("groups below"), std::string::npos);
  EXPECT_NE(MakeGroupIdle(root_, "/old", 41).find("no cpu.idle"), std::string::npos);
}

}  // namespace
}  // namespace interleave
