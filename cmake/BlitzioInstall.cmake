# Installs the core as the CMake package `blitzio`, target blitzio::core: the library and its headers.
# Public headers need some of what is in detail/, so those folders come along; nobody is to include
# them. The driver's backends stay behind.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/blitzio)
set_target_properties(blitzio_core PROPERTIES EXPORT_NAME core)
install(TARGETS blitzio_core EXPORT blitzio-targets COMPONENT core
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT blitzio-targets NAMESPACE blitzio:: DESTINATION ${package_dir}
        FILE blitzioTargets.cmake COMPONENT core)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/blitzio DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT core FILES_MATCHING PATTERN "*.hpp"
        PATTERN "driver/epoll" EXCLUDE PATTERN "driver/io_uring" EXCLUDE
        PATTERN "driver/faults" EXCLUDE
        PATTERN "driver/poll" EXCLUDE PATTERN "driver/readiness" EXCLUDE
        PATTERN "driver/sim" EXCLUDE)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/blitzioConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/blitzioConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/blitzioConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/blitzioConfig.cmake
              ${PROJECT_BINARY_DIR}/blitzioConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT core)
