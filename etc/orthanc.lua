-- For Orthanc: "LuaScripts": ["orthanc.lua"], "DicomModalities": {"firstread": ["FIRSTREAD", "HOST", 11112]}.
-- Sends every film on to Firstread as it arrives; results (OT, SR) are not films and stay.
function OnStoredInstance(instanceId, tags, metadata)
  if tags.Modality == 'CR' or tags.Modality == 'DX' then
    SendToModality(instanceId, 'firstread')
  end
end
